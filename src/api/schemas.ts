import { z } from 'zod';
import { EventReceivedView, ParentView, WaitingForView } from './awaited-events.schemas.js';
import { HalfMessageView, PreparedView, PrepareRequest, VerdictView } from './half-message-schemas.js';
import { Currency, text } from '../messages/fields.js';
import { OrderItem, OrderRequest } from '../messages/orders.js';
import { PaymentRequest } from '../messages/payments.js';
import { RegistrationRequest } from '../messages/registrations.js';
import { isSagaId } from '../saga/ids.js';
import type { OperatorComponent } from './operator-schemas.js';
import { OutboxMessageView } from './outbox-schemas.js';
import type { RepairComponent } from './repair-schemas.js';
import { PaymentAcceptedView, PaymentOpenedView, PaymentView } from './payments.schemas.js';
import { RegistrationAcceptedView, RegistrationView, UserRegisteredView } from './registrations.schemas.js';
import { ACCEPTED, ActionNote, ReasonView, SagaId, SagaStateName, Time } from './view-fields.js';

const OrderId = z.string().meta({ examples: ['ord_0198c5a0-7e1c-7000-8000-000000000002'] });

/** The answer to a request that was accepted. */
export const AcceptedView = z
  .object({ sagaId: SagaId, orderId: OrderId, state: z.literal('accepted') })
  .describe(ACCEPTED);
export type AcceptedView = z.infer<typeof AcceptedView>;

/** The answer after the local transaction: what it has written, as it wrote it. */
export const PlacedView = z
  .object({
    sagaId: SagaId,
    orderId: OrderId,
    status: z.literal('placed'),
    customerId: z.string(),
    currency: Currency,
    items: z.array(OrderItem),
    total: z.int().describe('In minor units.'),
    placedAt: Time,
  })
  .describe('The order as the local transaction committed it; `GET /v1/orders/{orderId}` has what became of it.');
export type PlacedView = z.infer<typeof PlacedView>;

/** An order and its saga's state. */
export const OrderView = z.object({
  orderId: OrderId,
  sagaId: SagaId,
  status: z
    .enum(['pending', 'placed', 'cancelled', 'rejected'])
    .describe('pending: its local transaction has not run; rejected: it refused, or never ran and never will.'),
  sagaState: SagaStateName,
  reason: ReasonView.nullable(),
  customerId: z.string(),
  currency: Currency,
  items: z.array(OrderItem),
  total: z.int().describe('In minor units.'),
  placedAt: Time.nullable(),
});
export type OrderView = z.infer<typeof OrderView>;

/** What a step's status means. */
export const StepStatus = z
  .enum(['pending', 'running', 'waiting', 'done', 'rejected', 'unknown', 'undoing', 'undone', 'skipped', 'parked'])
  .describe(
    [
      'pending: not attempted yet.',
      'running: attempted, no final answer yet.',
      'waiting: for an event, or for the saga that runs as this step.',
      'done: applied.',
      'rejected: definitely not applied.',
      'unknown: attempted without a final answer, and the saga goes no further: it counts as maybe applied and will be undone.',
      'undoing: its undo has been attempted or is owed.',
      'undone: its undo was applied, or a tombstone makes its do impossible.',
      'skipped: never attempted, and never will be.',
      'parked: waits for an operator.',
    ].join('\n'),
  );
export type StepStatus = z.infer<typeof StepStatus>;

/** The undo of a step. */
export const UndoView = z.object({
  action: z.string(),
  attempts: z.int(),
  startedAt: Time.nullable(),
  finishedAt: Time.nullable(),
  lastError: z.string().nullable(),
});
export type UndoView = z.infer<typeof UndoView>;

/** One step of a saga. */
export const StepView = z.object({
  name: z.string(),
  kind: z.enum(['compensatable', 'pivot', 'retriable']),
  type: z.enum(['local', 'message', 'wait', 'child']),
  action: z.string().describe("The local transaction's name, the message type, the event, or the saga type."),
  child: SagaId.nullable().describe('The saga that runs as this step.'),
  status: StepStatus,
  attempts: z.int().describe('Attempts begun; a local transaction that committed counts as one.'),
  startedAt: Time.nullable(),
  finishedAt: Time.nullable(),
  lastError: z.string().nullable(),
  parkReason: ReasonView.nullable().describe('Why it waits for an operator; null unless it does.'),
  effectKeys: z
    .object({ do: z.string(), undo: z.string().nullable() })
    .describe('The idempotency keys that participants are sent.'),
  undo: UndoView.nullable().describe('Null when the step cannot be undone.'),
});
export type StepView = z.infer<typeof StepView>;

/** A saga as a list shows it. */
export const SagaSummaryView = z.object({
  sagaId: SagaId,
  type: z.string(),
  state: SagaStateName,
  reason: ReasonView.nullable().describe('Why it compensates; null while it goes forward.'),
  parkReason: ReasonView.nullable().describe('Why it is parked; null unless it is.'),
  businessKey: z.string(),
  acceptedAt: Time,
  updatedAt: Time,
  finishedAt: Time.nullable(),
});
export type SagaSummaryView = z.infer<typeof SagaSummaryView>;

/** A saga with its steps. */
export const SagaView = SagaSummaryView.extend({
  parent: ParentView.nullable().describe('The step of another saga that it runs as.'),
  waitingFor: WaitingForView.nullable().describe('What it waits for when it has nothing to do; null otherwise.'),
  steps: z.array(StepView),
  actions: z.array(ActionNote).describe('What operators did about it, in order.'),
  links: z.object({ events: z.string(), temporal: z.string().describe('Its workflow in the Temporal Web UI.') }),
});
export type SagaView = z.infer<typeof SagaView>;

/** A page of sagas, newest first. */
export const SagaPage = z.object({
  sagas: z.array(SagaSummaryView),
  next: z.string().nullable().describe('The cursor of the next page; null on the last one.'),
});
export type SagaPage = z.infer<typeof SagaPage>;

/** The data of one server-sent event. */
export const SagaEventView = z.object({
  sagaId: SagaId,
  state: SagaStateName,
  reason: ReasonView.nullable(),
  at: Time,
});
export type SagaEventView = z.infer<typeof SagaEventView>;

/** The body of a cancel; it may be absent. */
export const CancelRequest = z.strictObject({ reason: text(500).optional() }).optional();

/** The answer to a cancel. */
export const CancelView = z.object({
  sagaId: SagaId,
  state: SagaStateName.describe('As it is now: the request is durable, its effect follows.'),
});
export type CancelView = z.infer<typeof CancelView>;

/** How many items a page holds. */
export const PageSize = z
  .string()
  .regex(/^\d{1,3}$/, 'must be a whole number from 1 to 200')
  .transform(Number)
  .refine((limit) => limit >= 1 && limit <= 200, 'must be a whole number from 1 to 200');

/** Where a page of sagas begins. */
const Cursor = z.string().max(200).transform(readCursor).refine(isSagaId, 'must be the `next` of an earlier page');

/** The query of a list of sagas. */
export const SagaQuery = z.strictObject({
  type: z
    .string()
    .regex(/^[a-z][a-z0-9-]{0,62}$/, 'must be a saga type')
    .optional(),
  state: SagaStateName.optional(),
  key: text(200).optional(),
  cursor: Cursor.optional(),
  limit: PageSize.default(50),
});
export type SagaQuery = z.infer<typeof SagaQuery>;

/** The cursor of the page after a saga, or whatever else has an id. */
export function cursorAfter(id: string): string {
  return Buffer.from(id).toString('base64url');
}

/** The id that a cursor was made of; nonsense when it was not. */
export function readCursor(cursor: string): string {
  return Buffer.from(cursor, 'base64url').toString();
}

/** Whether the process is fit to serve. */
export const HealthView = z.object({
  status: z
    .enum(['ok', 'degraded'])
    .describe('degraded: Temporal is away; what is accepted now starts when it is back.'),
  postgres: z.literal('up').optional(),
  temporal: z.enum(['up', 'down']).optional(),
});
export type HealthView = z.infer<typeof HealthView>;

/** What an answer of 400 and above holds (RFC 9457). */
export const ProblemView = z
  .looseObject({
    type: z.string().describe('A stable URI; GET it for an explanation.'),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    errors: z
      .array(
        z.object({
          detail: z.string(),
          pointer: z.string().describe('JSON Pointer into the body.').optional(),
          parameter: z.string().optional(),
          header: z.string().optional(),
        }),
      )
      .optional(),
    reason: ReasonView.optional(),
    state: SagaStateName.optional(),
    events: z.array(z.string()).optional(),
    parent: ParentView.optional(),
  })
  .describe('Problem details, RFC 9457.');

/** The explanation of a problem type. */
export const ProblemKindView = z.object({ type: z.string(), title: z.string(), status: z.int(), remedy: z.string() });

const COMPONENTS = {
  OrderRequest,
  Reason: ReasonView,
  Accepted: AcceptedView,
  PlacedOrder: PlacedView,
  Order: OrderView,
  PaymentRequest,
  PaymentAccepted: PaymentAcceptedView,
  OpenedPayment: PaymentOpenedView,
  Payment: PaymentView,
  RegistrationRequest,
  RegistrationAccepted: RegistrationAcceptedView,
  RegisteredUser: UserRegisteredView,
  Registration: RegistrationView,
  StepStatus,
  Step: StepView,
  SagaSummary: SagaSummaryView,
  Saga: SagaView,
  SagaPage,
  SagaEvent: SagaEventView,
  PrepareRequest,
  PreparedMessage: PreparedView,
  MessageVerdict: VerdictView,
  HalfMessage: HalfMessageView,
  OutboxMessage: OutboxMessageView,
  Message: z
    .union([HalfMessageView, OutboxMessageView])
    .describe('By its id: `msg_…` is a half message, `om_…` one of the outbox.'),
  EventBody: z.unknown().describe('As the saga that waits for it says.'),
  EventReceived: EventReceivedView,
  CancelRequest,
  Cancel: CancelView,
  Health: HealthView,
  Problem: ProblemView,
  ProblemKind: ProblemKindView,
} as const satisfies Record<string, z.ZodType>;

/** The name of a schema in the OpenAPI document. */
export type ComponentName = keyof typeof COMPONENTS | OperatorComponent | RepairComponent;

/** The schemas as JSON Schema 2020-12, as OpenAPI 3.1 holds them. */
export function jsonSchemas(more: Readonly<Record<string, z.ZodType>> = {}): Record<ComponentName, object> {
  const registry = z.registry<{ id: string }>();
  for (const [id, schema] of Object.entries({ ...COMPONENTS, ...more })) registry.add(schema, { id });
  const { schemas } = z.toJSONSchema(registry, {
    uri: (id) => `#/components/schemas/${id}`,
    io: 'input',
    override: ({ jsonSchema }) => {
      // few of the languages that read the document know this class of characters
      if (!jsonSchema.pattern?.includes('\\p{Surrogate}')) return;
      delete jsonSchema.pattern;
      jsonSchema.description ??= 'Without NUL and lone surrogates.';
    },
  });
  const entries = Object.entries(schemas).map(([id, { $schema: _, $id: __, ...schema }]) => [id, schema] as const);
  return Object.fromEntries(entries) as Record<ComponentName, object>;
}

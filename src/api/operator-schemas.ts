import { z } from 'zod';
import { text } from '../messages/fields.js';
import { isStepName } from '../saga/ids.js';
import { OPERATOR_ACTIONS } from '../saga/operator.js';
import { SAGA_STATES } from '../saga/state.js';
import { Cursor, PageSize, SagaSummaryView } from './schemas.js';
import { ReasonView, Time } from './view-fields.js';

const StepName = z.string().refine(isStepName, 'must be the name of a step');
const OperatorAction = z
  .enum(OPERATOR_ACTIONS)
  .describe(
    [
      'retry: try the failed direction again; a refusal is asked anew, under a higher revision.',
      'skip: attest that the effect is there (`result`), or that it is undone; it is not asked for again.',
      'compensate: give up going forward and take back what was done.',
      'resolve: end the saga as `outcome`; nothing more is sent.',
      'edit: another `payload` under the same effect key and a higher revision, then retry.',
    ].join('\n'),
  );
/** Any JSON that the ledger can hold. */
export const Json = z.unknown().refine(isStorable, 'must not contain NUL or lone surrogates');

/** A step that waits for an operator. */
export const ParkedStepView = z.object({
  step: z.string(),
  direction: z.enum(['do', 'undo']).describe('Which of its two directions cannot succeed.'),
  action: z.string().describe("The local transaction's name, or the message type."),
  reason: ReasonView,
  since: Time,
  effectKey: z.string(),
  attempts: z.int().nullable().describe('Null for a local transaction.'),
  revision: z.int().nullable().describe('Raised by an edit, and by a retry after a refusal.'),
  payload: z.unknown().describe('What was sent; null when nothing was.'),
  lastError: z.string().nullable(),
  actions: z.array(OperatorAction).describe('What may be done about it; everything else is refused.'),
});
export type ParkedStepView = z.infer<typeof ParkedStepView>;

/** A parked saga, and what may be done about it. */
export const ParkedSagaView = SagaSummaryView.extend({ parked: z.array(ParkedStepView) });
export type ParkedSagaView = z.infer<typeof ParkedSagaView>;

/** A page of parked sagas, newest first. */
export const ParkedPage = z.object({
  sagas: z.array(ParkedSagaView),
  next: z.string().nullable().describe('The cursor of the next page; null on the last one.'),
});
export type ParkedPage = z.infer<typeof ParkedPage>;

/** The query of the list of parked sagas. */
export const ParkedQuery = z.strictObject({ cursor: Cursor.optional(), limit: PageSize.default(50) });
export type ParkedQuery = z.infer<typeof ParkedQuery>;

/** What an operator asks for. */
export const ActionRequest = z
  .strictObject({
    actionId: z
      .string()
      .regex(/^[\x21-\x7e]{1,200}$/, 'must be 1 to 200 visible ASCII characters')
      .describe('Names the action: the same id with the same body brings the same answer and changes nothing.'),
    action: OperatorAction,
    actor: text(200).describe('Who decides.'),
    reason: text(1_000).describe('Why; it is kept.'),
    step: StepName.optional().describe('Needed when several steps are parked.'),
    result: Json.optional().describe('With `skip` of a `do`: what the effect resulted in, as the contract has it.'),
    outcome: z.enum(['completed', 'compensated']).optional().describe('With `resolve`: how the saga ended in truth.'),
    payload: Json.optional().describe('With `edit`: as the contract has it.'),
  })
  .superRefine((request, context) => {
    const { action } = request;
    const refuse = (member: string, message: string): void =>
      context.addIssue({ code: 'custom', path: [member], message });
    if ((action === 'resolve') !== (request.outcome !== undefined)) refuse('outcome', belongs('resolve'));
    if ((action === 'edit') !== (request.payload !== undefined)) refuse('payload', belongs('edit'));
    if (action !== 'skip' && request.result !== undefined) refuse('result', belongs('skip'));
  });
export type ActionRequest = z.infer<typeof ActionRequest>;

/** An action as it was recorded. */
export const ActionView = z
  .object({
    actionId: z.string(),
    sagaId: z.string(),
    step: z.string(),
    action: OperatorAction,
    actor: z.string(),
    reason: z.string(),
    at: Time,
    state: z.enum(SAGA_STATES).describe("The saga's state right after it, in the ledger."),
  })
  .describe('Recorded for good; repeating the request brings the same answer.');
export type ActionView = z.infer<typeof ActionView>;

/** What operators add to the schemas of the OpenAPI document. */
export const OPERATOR_COMPONENTS = {
  ParkedStep: ParkedStepView,
  ParkedSaga: ParkedSagaView,
  ParkedPage,
  ActionRequest,
  Action: ActionView,
};

/** The name of one of them. */
export type OperatorComponent = keyof typeof OPERATOR_COMPONENTS;

function belongs(action: string): string {
  return `must be given with '${action}', and with nothing else`;
}

/** Whether PostgreSQL can hold every text in it; the members' names too. */
function isStorable(value: unknown): boolean {
  if (typeof value === 'string') return /^[^\0\p{Surrogate}]*$/u.test(value);
  if (typeof value !== 'object' || value === null) return true;
  return Object.entries(value).every(([name, member]) => isStorable(name) && isStorable(member));
}

import { z } from 'zod';
import { text } from '../messages/fields.js';
import { isStepName } from '../saga/ids.js';
import { ALL_ACTIONS } from '../saga/operator.js';
import { SUBJECT_KINDS, subjectKind } from '../saga/subject.js';
import { PageSize, readCursor } from './schemas.js';
import { Json } from './storable-json.js';
import { ReasonView, Time } from './view-fields.js';

const StepName = z.string().refine(isStepName, 'must be the name of a step');
const Kind = z.enum(SUBJECT_KINDS);
/** What an operator may do. */
export const ActionName = z
  .enum(ALL_ACTIONS)
  .describe(
    [
      'retry: try the failed direction of a step again, a refusal anew under a higher revision; ask for the verdict of a message again.',
      'skip: attest that the effect is there (`result`), or that it is undone; it is not asked for again.',
      'compensate: give up going forward and take back what was done.',
      'resolve: end the saga as `outcome`; nothing more is sent.',
      'edit: another `payload` under the same effect key and a higher revision, then sent.',
      'resend: send a message again, under the same effect key and a higher revision.',
      'confirm: give a message the verdict that its producer did not give, and deliver it.',
      'discard: give a message up; without a verdict it is rolled back.',
    ].join('\n'),
  );

/** Something that waits for an operator: a step of a saga, or a message. */
export const ParkedView = z.object({
  kind: Kind,
  id: z.string().describe('Of the saga or the message.'),
  type: z.string().describe('Of the saga or the message.'),
  businessKey: z.string().nullable().describe('Null for a message.'),
  step: z.string().describe('Of a message always `message`.'),
  direction: z.enum(['do', 'undo']).describe('Which of its two directions cannot succeed.'),
  action: z.string().describe("The local transaction's name, or the message type."),
  reason: ReasonView,
  since: Time,
  effectKey: z.string(),
  attempts: z.int().nullable().describe('Null for a local transaction.'),
  revision: z.int().nullable().describe('Raised by an edit, and by a retry after a refusal.'),
  payload: z.unknown().describe('What was sent; null when nothing was.'),
  lastError: z.string().nullable(),
  mayRepeat: z
    .boolean()
    .describe('So old that a participant may have forgotten its effects: what sends again needs `mayRepeat`.'),
  actions: z.array(ActionName).describe('What may be done about it; everything else is refused.'),
});
export type ParkedView = z.infer<typeof ParkedView>;

/** A page of what is parked, newest first; the steps of one saga stand together. */
export const ParkedPage = z.object({
  items: z.array(ParkedView),
  next: z.string().nullable().describe('The cursor of the next page; null on the last one.'),
});
export type ParkedPage = z.infer<typeof ParkedPage>;

/** Which parked items are meant; all conditions that are given must hold. */
export const PARKED_CONDITIONS = {
  kind: Kind.optional(),
  id: text(200).optional().describe('Of one saga or message.'),
  type: text(200).optional().describe('Of the saga or the message.'),
  reason: text(200).optional().describe("The reason's code."),
  step: StepName.optional(),
};

const Age = z
  .string()
  .regex(/^\d{1,12}$/, 'must be a whole number of ms')
  .transform(Number);

/** The query of the list of what is parked. */
export const ParkedQuery = z.strictObject({
  ...PARKED_CONDITIONS,
  olderThanMs: Age.optional(),
  cursor: z
    .string()
    .max(200)
    .transform(readCursor)
    .refine((id) => subjectKind(id) !== undefined, 'must be the `next` of an earlier page')
    .optional(),
  limit: PageSize.default(50),
});
export type ParkedQuery = z.infer<typeof ParkedQuery>;

/** What comes with some actions. */
export const ACTION_ARGUMENTS = {
  result: Json.optional().describe('With `skip` of a `do`: what the effect resulted in, as the contract has it.'),
  outcome: z.enum(['completed', 'compensated']).optional().describe('With `resolve`: how the saga ended in truth.'),
  payload: Json.optional().describe('With `edit`: as the contract has it.'),
  mayRepeat: z
    .boolean()
    .optional()
    .describe('That the effect may be repeated: needed to send again what participants may have forgotten.'),
};

interface ActionArguments {
  readonly action: z.infer<typeof ActionName>;
  readonly result?: unknown;
  readonly outcome?: unknown;
  readonly payload?: unknown;
}

/** Refuses an argument that belongs to another action, and the absence of one that is needed. */
export function checkArguments(request: ActionArguments, context: z.RefinementCtx): void {
  const { action } = request;
  const refuse = (member: string, message: string): void =>
    context.addIssue({ code: 'custom', path: [member], message });
  if ((action === 'resolve') !== (request.outcome !== undefined)) refuse('outcome', belongs('resolve'));
  if ((action === 'edit') !== (request.payload !== undefined)) refuse('payload', belongs('edit'));
  if (action !== 'skip' && request.result !== undefined) refuse('result', belongs('skip'));
}

/** What an operator asks for. */
export const ActionRequest = z
  .strictObject({
    actionId: z
      .string()
      .regex(/^[\x21-\x7e]{1,200}$/, 'must be 1 to 200 visible ASCII characters')
      .describe('Names the action: the same id with the same body brings the same answer and changes nothing.'),
    action: ActionName,
    actor: text(200).describe('Who decides.'),
    reason: text(1_000).describe('Why; it is kept.'),
    step: StepName.optional().describe('Needed when several steps are parked.'),
    ...ACTION_ARGUMENTS,
  })
  .superRefine(checkArguments);
export type ActionRequest = z.infer<typeof ActionRequest>;

/** An action as it was recorded. */
export const ActionView = z
  .object({
    actionId: z.string(),
    kind: Kind,
    id: z.string().describe('Of the saga or the message.'),
    step: z.string(),
    action: ActionName,
    actor: z.string(),
    reason: z.string(),
    at: Time,
    mayRepeat: z.boolean(),
    state: z.string().describe("The saga's or message's state right after it, in the ledger."),
  })
  .describe('Recorded for good; repeating the request brings the same answer.');
export type ActionView = z.infer<typeof ActionView>;

/** What operators add to the schemas of the OpenAPI document. */
export const OPERATOR_COMPONENTS = {
  Parked: ParkedView,
  ParkedPage,
  ActionRequest,
  Action: ActionView,
};

/** The name of one of them. */
export type OperatorComponent = keyof typeof OPERATOR_COMPONENTS;

function belongs(action: string): string {
  return `must be given with '${action}', and with nothing else`;
}

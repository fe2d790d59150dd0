import { z } from 'zod';
import { text } from '../messages/fields.js';
import { MAX_REPAIR_ITEMS, REPAIR_ITEM_STATUSES, REPAIR_STATES } from '../saga/repair.js';
import { SUBJECT_KINDS } from '../saga/subject.js';
import { ACTION_ARGUMENTS, ActionName, checkArguments, PARKED_CONDITIONS } from './operator-schemas.js';
import { PageSize, readCursor } from './schemas.js';
import { ReasonView, Time } from './view-fields.js';

const DEFAULT_ITEMS = 1_000;
const DEFAULT_PER_SECOND = 10;
const MAX_PER_SECOND = 100;

/** Which parked items a repair is about. */
const RepairQuery = z.strictObject({
  ...PARKED_CONDITIONS,
  state: z.literal('parked').optional().describe('What can be repaired is parked.'),
  olderThanMs: z.int().min(0).max(999_999_999_999).optional().describe('Parked for at least so long.'),
  limit: z
    .int()
    .min(1)
    .max(MAX_REPAIR_ITEMS)
    .default(DEFAULT_ITEMS)
    .describe('Items at the most, newest first; what is left out takes another repair.'),
});

/** The body of `POST /v1/repairs`. */
export const RepairRequest = z
  .strictObject({
    query: RepairQuery,
    action: ActionName,
    actor: text(200).describe('Who decides.'),
    reason: text(1_000).describe('Why; it is kept with each action.'),
    ...ACTION_ARGUMENTS,
    perSecond: z.int().min(1).max(MAX_PER_SECOND).default(DEFAULT_PER_SECOND).describe('Calls a second.'),
  })
  .superRefine(checkArguments);
export type RepairRequest = z.infer<typeof RepairRequest>;

/** The body of a confirmation: what is confirmed is what was previewed. */
export const RepairConfirmation = z.strictObject({
  etag: text(100).describe('Of the preview.'),
  count: z.int().min(0).describe('Of the preview: how many calls are to be made.'),
});
export type RepairConfirmation = z.infer<typeof RepairConfirmation>;

const ItemStatus = z
  .enum(REPAIR_ITEM_STATUSES)
  .describe(
    [
      'planned: will be acted on.',
      'refused: may not be acted on, see `reason`; it was so in the preview.',
      'done: the action is recorded.',
      'skipped: could not be acted on when its turn came, see `reason`.',
    ].join('\n'),
  );

/** One call of a repair. */
export const RepairItemView = z.object({
  position: z.int(),
  kind: z.enum(SUBJECT_KINDS),
  id: z.string().describe('Of the saga or message.'),
  step: z.string(),
  effectKey: z.string(),
  action: ActionName,
  actionId: z.string().describe('Under which the action is recorded.'),
  mayRepeat: z.boolean().describe('Whether it may repeat an effect that participants have forgotten.'),
  status: ItemStatus,
  reason: ReasonView.nullable(),
  state: z.string().nullable().describe("The saga's or message's, right after the action."),
  at: Time.nullable(),
});
export type RepairItemView = z.infer<typeof RepairItemView>;

const Count = z.int();

/** A repair: its preview, and how far it is. */
export const RepairView = z.object({
  repairId: z.string().meta({ examples: ['rp_0198c5a0-7e1c-7000-8000-000000000004'] }),
  state: z
    .enum(REPAIR_STATES)
    .describe('previewed: nothing happens before it is confirmed; running; done; cancelled: no further call is made.'),
  action: ActionName,
  arguments: z.record(z.string(), z.unknown()),
  query: z.record(z.string(), z.unknown()),
  actor: z.string(),
  reason: z.string(),
  perSecond: z.int(),
  etag: z.string().describe('Names the preview; a confirmation gives it back.'),
  count: Count.describe('Calls that are, or were, to be made.'),
  refused: Count.describe('Items that were found and may not be acted on.'),
  mayRepeat: Count.describe('Of `count`, those that may repeat an effect.'),
  progress: z.object({ planned: Count, done: Count, skipped: Count }),
  createdAt: Time,
  confirmedAt: Time.nullable(),
  finishedAt: Time.nullable(),
  items: z.array(RepairItemView).describe('A page of them, in order.'),
  next: z.string().nullable().describe('The cursor of the next page; null on the last one.'),
  links: z.object({ temporal: z.string().describe('Its workflow in the Temporal Web UI.') }),
});
export type RepairView = z.infer<typeof RepairView>;

/** The query of one repair: which page of its items. */
export const RepairPageQuery = z.strictObject({
  status: ItemStatus.optional(),
  cursor: z
    .string()
    .max(200)
    .transform(readCursor)
    .refine((position) => /^\d{1,6}$/.test(position), 'must be the `next` of an earlier page')
    .optional(),
  limit: PageSize.default(50),
});
export type RepairPageQuery = z.infer<typeof RepairPageQuery>;

/** What repairs add to the schemas of the OpenAPI document. */
export const REPAIR_COMPONENTS = {
  RepairRequest,
  RepairConfirmation,
  RepairItem: RepairItemView,
  Repair: RepairView,
};

/** The name of one of them. */
export type RepairComponent = keyof typeof REPAIR_COMPONENTS;

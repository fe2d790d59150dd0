import type { AnyAction } from './operator.js';
import type { SagaOutcome } from './state.js';

/**
 * The states of a repair.
 * ```
 * previewed ─▶ running ─▶ done
 *     └───────────┴─────▶ cancelled
 * ```
 */
export const REPAIR_STATES = ['previewed', 'running', 'done', 'cancelled'] as const;
export type RepairState = (typeof REPAIR_STATES)[number];

/**
 * What becomes of each of its items: `planned` will be acted on; `refused` may not be, and was not from the start;
 * `skipped` could not be when its turn came, e.g. because somebody else had acted on it.
 */
export const REPAIR_ITEM_STATUSES = ['planned', 'refused', 'done', 'skipped'] as const;
export type RepairItemStatus = (typeof REPAIR_ITEM_STATUSES)[number];

/** What is done about each item. */
export interface RepairAction {
  readonly action: AnyAction;
  readonly result?: unknown;
  readonly outcome?: SagaOutcome;
  readonly payload?: unknown;
  readonly mayRepeat?: boolean;
}

/** Items that one repair may have at the most. */
export const MAX_REPAIR_ITEMS = 10_000;

const UUID = '[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}';
const REPAIR_ID = new RegExp(`^rp_${UUID}$`);

/** The id of a repair, from a UUIDv7, and the id of its workflow too. */
export function repairId(uuid: string): string {
  return `rp_${uuid}`;
}

/** Whether `text` is the id of a repair. */
export function isRepairId(text: string): boolean {
  return REPAIR_ID.test(text);
}

/** The id of the action on one of its items: however often the repair is run, it counts once. */
export function repairActionId(id: string, position: number): string {
  return `${id}/${position}`;
}

/** The input of a repair's workflow; everything else is in the ledger. */
export interface RepairStart {
  readonly repairId: string;
  readonly tenantId: string;
  /** Items acted on in a second. */
  readonly perSecond: number;
}

import type pg from 'pg';
import { recordEvent } from '../db/awaited-events.js';
import { countOpenHalfMessages, decideHalfMessage, findHalfMessage, prepareHalfMessage } from '../db/half-messages.js';
import { countNotices, countStuck, lastNoticePlace, listNoticesAfter } from '../db/notices.js';
import { findOrder } from '../db/order-queries.js';
import { listActions, markDelivered, recordOperatorAction } from '../db/operator-actions.js';
import { countOutbox, findOutboxMessage } from '../db/outbox-queries.js';
import { listParked } from '../db/parked-items.js';
import { findPayment } from '../db/payments.js';
import { findRegistration } from '../db/registrations.js';
import { cancelRepair, confirmRepair, createRepair, findRepair, listRepairItems } from '../db/repairs.js';
import { listReplyCounts } from '../db/reply-counts.js';
import { countStrayed } from '../db/retention.js';
import { listScanCounts } from '../db/scan-counts.js';
import {
  countOpenByState,
  findEffectEnds,
  findEventsAfter,
  findSaga,
  isKeyKnown,
  listSagas,
  ping,
} from '../db/saga-queries.js';
import { requestCancel } from '../db/saga-cancel.js';
import { countWaiting, lookAtWaiting } from '../db/saga-scan.js';
import { acceptSaga } from '../db/saga-store.js';

const QUERIES = {
  acceptSaga,
  countWaiting,
  lookAtWaiting,
  requestCancel,
  recordEvent,
  isKeyKnown,
  findSaga,
  listSagas,
  findOrder,
  findPayment,
  findRegistration,
  findEffectEnds,
  findEventsAfter,
  countOpenByState,
  prepareHalfMessage,
  decideHalfMessage,
  findHalfMessage,
  countOpenHalfMessages,
  listScanCounts,
  listReplyCounts,
  listParked,
  listActions,
  recordOperatorAction,
  markDelivered,
  countStrayed,
  findOutboxMessage,
  countOutbox,
  countStuck,
  countNotices,
  listNoticesAfter,
  lastNoticePlace,
  createRepair,
  findRepair,
  listRepairItems,
  confirmRepair,
  cancelRepair,
  ping,
} as const;
type Queries = typeof QUERIES;

/** Everything that the API asks of the producer's database: one port, so that a test can fail each of its calls. */
export type Ledger = {
  readonly [Name in keyof Queries]: Queries[Name] extends (pool: pg.Pool, ...question: infer Question) => infer Answer
    ? (...question: Question) => Answer
    : never;
};

/** The ledger behind a pool. */
export function createLedger(pool: pg.Pool): Ledger {
  type Query = (pool: pg.Pool, ...question: unknown[]) => unknown;
  const bound = Object.entries(QUERIES).map(([name, query]) => {
    const ask = (...question: unknown[]): unknown => (query as Query)(pool, ...question);
    return [name, ask] as const;
  });
  return Object.fromEntries(bound) as unknown as Ledger;
}

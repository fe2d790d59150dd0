import type pg from 'pg';
import {
  claimDueNotices,
  listSuspects,
  recordNotice,
  reportStuck,
  type DueNotice,
  type NoticeOutcome,
} from '../src/db/notices.js';
import { noticeBody } from '../src/saga/notice.js';
import { findStuckCause, START_GRACE_MS } from '../src/saga/stuck.js';
import type { Webhook } from '../src/transports/webhook.js';

/** Told at the same time. */
const BATCH = 16;
const PAGE = 500;

/** First after 5 s, doubling to an hour, for three days. */
const FIRST_RETRY_MS = 5_000;
const LONGEST_RETRY_MS = 3_600_000;
const HORIZON_MS = 3 * 86_400_000;

/**
 * One round of the webhook: tells it what is due, at least once each, always under the same id.
 *
 * @returns whether more may be due
 */
export async function tellWebhook(pool: pg.Pool, webhook: Webhook): Promise<boolean> {
  const due = await claimDueNotices(pool, BATCH);
  await Promise.all(due.map(async (notice) => recordNotice(pool, notice.id, await tell(webhook, notice))));
  return due.length === BATCH;
}

async function tell(webhook: Webhook, notice: DueNotice): Promise<NoticeOutcome> {
  if (Date.now() - notice.at.getTime() > HORIZON_MS)
    return { kind: 'given-up', error: 'was not delivered in three days' };
  const answer = await webhook.send(notice.id, noticeBody(notice));
  if (answer.kind === 'gone') return { kind: 'given-up', error: answer.error };
  if (answer.kind === 'delivered') return answer;
  // a little earlier or later: what failed together need not come back together
  const retryMs = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** notice.attempts) * (0.8 + 0.4 * Math.random());
  return { kind: 'failed', error: answer.error, retryMs };
}

/** One round over the open sagas: reports those that are under way for longer than their plan can take. */
export async function reportStuckSagas(pool: pg.Pool, nowMs = Date.now()): Promise<number> {
  let reported = 0;
  for (let after = ''; ;) {
    const page = await listSuspects(pool, { graceMs: START_GRACE_MS, after, limit: PAGE });
    for (const saga of page) {
      const cause = findStuckCause(saga, nowMs);
      if (cause && (await reportStuck(pool, { id: saga.id, state: saga.state, cause }))) reported += 1;
    }
    const last = page.at(-1);
    if (page.length < PAGE || !last) return reported;
    after = last.id;
  }
}

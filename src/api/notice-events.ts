import { setTimeout as pause } from 'node:timers/promises';
import type { NoticePlace } from '../db/notices.js';
import { noticeBody } from '../saga/notice.js';
import type { Ledger } from './ledger.js';
import type { LedgerWatcher } from './ledger-watcher.js';

/** Whose stream, from where, and for how long. */
export interface NoticeStreamOptions {
  readonly ledger: Pick<Ledger, 'listNoticesAfter'>;
  readonly watcher: Pick<LedgerWatcher, 'isStopped'>;
  readonly tenantId: string;
  readonly after: NoticePlace;
  readonly heartbeatMs: number;
  readonly signal: AbortSignal;
}

const LOOK_EVERY_MS = 1_000;
const RECONNECT_MS = 1_000;
const PAGE = 100;

/**
 * What people of a tenant should hear of, as server-sent events, each as it happens.
 * It ends when the client goes and when the process stops; silence is filled with comment lines.
 */
export async function* noticeStream(options: NoticeStreamOptions): AsyncGenerator<string> {
  const { ledger, watcher, tenantId, heartbeatMs, signal } = options;
  yield `retry: ${RECONNECT_MS}\n\n`;
  let { after } = options;
  let silentSinceMs = Date.now();
  while (!signal.aborted && !watcher.isStopped()) {
    const notices = await ledger.listNoticesAfter({ tenantId, after, limit: PAGE });
    for (const notice of notices) {
      after = notice.place;
      yield `id: ${placeText(after)}\nevent: ${notice.type}\ndata: ${JSON.stringify(noticeBody(notice))}\n\n`;
    }
    if (notices.length > 0) silentSinceMs = Date.now();
    else if (Date.now() - silentSinceMs >= heartbeatMs) {
      yield ': still here\n\n';
      silentSinceMs = Date.now();
    }
    if (notices.length < PAGE) await pause(LOOK_EVERY_MS, undefined, { signal }).catch(() => undefined);
  }
}

function placeText({ txid, id }: NoticePlace): string {
  return `${txid}.${id}`;
}

/** The place that an event's id names; undefined when it is none of ours. */
export function readPlace(text: string): NoticePlace | undefined {
  const [, txid, id] = /^(\d{1,18})\.(ntc_[0-9a-f-]{36})$/.exec(text) ?? [];
  return txid === undefined ? undefined : { txid, id: id! };
}

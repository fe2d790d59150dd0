import type { SagaEvent } from '../db/saga-queries.js';
import { isTerminal } from '../saga/state.js';
import type { LedgerWatcher } from './ledger-watcher.js';
import type { SagaEventView } from './schemas.js';

/** Whose stream, from where, and for how long. */
export interface StreamOptions {
  readonly watcher: LedgerWatcher;
  readonly sagaId: string;
  /** The last event that the client knows; 0: none. */
  readonly after: number;
  readonly heartbeatMs: number;
  readonly signal: AbortSignal;
}

/** When a client that lost its stream opens it again. */
const RECONNECT_MS = 1_000;

/**
 * A saga's changes of state as server-sent events: the past ones first, then each as it happens.
 * It ends after the terminal one, when the client goes and when the process stops; silence is filled with comment lines.
 */
export async function* sagaEventStream({
  watcher,
  sagaId,
  after,
  heartbeatMs,
  signal,
}: StreamOptions): AsyncGenerator<string> {
  yield `retry: ${RECONNECT_MS}\n\n`;
  let known = after;
  while (!signal.aborted && !watcher.isStopped()) {
    const events = await watcher.nextEvents({ sagaId, after: known }, { withinMs: heartbeatMs, signal });
    if (events.length === 0) yield ': still here\n\n';
    for (const event of events) {
      yield frameOf(event);
      if (isTerminal(event.state)) return;
      known = event.id;
    }
  }
}

function frameOf({ id, sagaId, state, reason, at }: SagaEvent): string {
  const data: SagaEventView = { sagaId, state, reason, at: at.toISOString() };
  return `id: ${id}\nevent: state\ndata: ${JSON.stringify(data)}\n\n`;
}

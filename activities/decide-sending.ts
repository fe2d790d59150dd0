import type pg from 'pg';
import { isStillWanted } from '../src/db/replies.js';
import type { DecideSending } from '../src/transports/half-sender.js';

/**
 * Answers a broker that asks whether to deliver a message that it keeps as a half message:
 *
 * | the ledger | |
 * |---|---|
 * | has it as sent, answered or not | commit |
 * | has it as dead, withdrawn or refused, has another revision, or its saga takes back | rollback |
 * | cannot be read | unknown: asked again |
 */
export function createDecideSending(pool: pg.Pool): DecideSending {
  return async (sent) => {
    try {
      return (await isStillWanted(pool, sent)) ? 'commit' : 'rollback';
    } catch {
      // the ledger's absence is told by everybody who needs it more
      return 'unknown';
    }
  };
}

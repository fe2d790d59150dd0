import { log } from '@temporalio/activity';
import type pg from 'pg';
import { buryOutboxMessage } from '../src/db/outbox-work.js';
import type { Reason } from '../src/saga/errors.js';
import type { OutboxEnd } from '../src/saga/outbox.js';

/** What the workflow of an outbox message does to the world, beside delivering it as half messages are. Idempotent. */
export interface OutboxActivities {
  /** Makes it a dead letter and raises the alarm; answers with what it is, as it may have been delivered meanwhile. */
  buryMessage(args: { readonly messageId: string; readonly reason: Reason }): Promise<OutboxEnd['state']>;
}

/** Makes the activities; the worker registers them. */
export function createOutboxActivities({ pool }: { readonly pool: pg.Pool }): OutboxActivities {
  return {
    buryMessage: async ({ messageId, reason }) => {
      const state = await buryOutboxMessage(pool, messageId, reason);
      if (state === 'dead') log.error('outbox message is dead: it waits for a person', { messageId, reason });
      return state;
    },
  };
}

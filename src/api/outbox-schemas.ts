import { z } from 'zod';
import { OUTBOX_STATES } from '../saga/outbox.js';
import { ReasonView, Time } from './view-fields.js';

/** A message that was sent from SQL, with `settle.send`. */
export const OutboxMessageView = z
  .object({
    messageId: z.string().meta({ examples: ['om_0198c5a0-7e1c-7000-8000-000000000004'] }),
    type: z.string(),
    state: z
      .enum(OUTBOX_STATES)
      .describe(
        [
          'pending: is being delivered, or waits for its turn.',
          'delivered: the participant has applied it.',
          'dead: refused, without a route, or without an outcome for a day; waits for a person.',
        ].join('\n'),
      ),
    orderKey: z
      .string()
      .nullable()
      .describe('Delivered after those sent before it under the same key, where its route is ordered.'),
    attempts: z.int().describe('Attempts to deliver it.'),
    effectKey: z.string().describe('The idempotency key that its participant is sent.'),
    reason: ReasonView.nullable().describe('Why it is dead.'),
    lastError: z.string().nullable(),
    createdAt: Time,
    dueAt: Time.nullable().describe('When it is looked at next; null once it is delivered or dead.'),
    finishedAt: Time.nullable(),
  })
  .describe('A message of the outbox.');
export type OutboxMessageView = z.infer<typeof OutboxMessageView>;

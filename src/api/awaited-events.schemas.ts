import { z } from 'zod';
import { SagaId, Time } from './view-fields.js';

/** The answer to an event; repeating it brings the same. */
export const EventReceivedView = z
  .object({ sagaId: SagaId, event: z.string(), receivedAt: Time })
  .describe('Recorded for good: the saga goes on with it, unless it is cancelled before it can.');
export type EventReceivedView = z.infer<typeof EventReceivedView>;

/** What a saga that is not at work waits for. */
export const WaitingForView = z.object({
  kind: z
    .enum(['event', 'child', 'parent'])
    .describe(
      'event: comes from outside; child: the saga that runs as the step; parent: the saga that this one is a step of.',
    ),
  step: z.string().describe("Of this saga; for `parent`, of that one's."),
  name: z.string().describe("The event's name, or the id of the other saga."),
  since: Time,
  until: Time.nullable().describe('When the wait times out.'),
});
export type WaitingForView = z.infer<typeof WaitingForView>;

/** The step of another saga that a saga runs as. */
export const ParentView = z.object({ sagaId: SagaId, step: z.string() });

import type { Operation } from './operations.js';
import { SAGA_ID, TRACE, WITH_BODY } from './operations.js';

/** How the world outside tells a saga what it waits for. */
export const AWAITED_EVENT_OPERATIONS: readonly Operation[] = [
  {
    method: 'post',
    path: '/v1/sagas/{id}/events/{name}',
    id: 'sendEvent',
    tag: 'sagas',
    summary: 'Gives a saga the event that one of its steps waits for, or will.',
    parameters: [
      SAGA_ID,
      { name: 'name', place: 'path', description: "The event's name.", schema: { type: 'string' } },
      TRACE,
    ],
    body: { schema: 'EventBody', required: true },
    answers: [
      {
        status: 202,
        description: 'Recorded; the first body counts.',
        schema: 'EventReceived',
        headers: { 'Idempotent-Replayed': '`true` when the same event was recorded before; absent otherwise.' },
      },
    ],
    problems: [...WITH_BODY, 'not-found', 'unknown-event', 'event-decided', 'event-too-late', 'saga-settled'],
  },
];

import { z } from 'zod';
import { pageParameters, SAGA_ID, TRACE, V1, WITH_BODY, type Operation, type Parameter } from './operations.js';
import { PARKED_CONDITIONS } from './operator-schemas.js';
import { REPAIR_OPERATIONS } from './repair-operations.js';

const CONDITIONS = z.toJSONSchema(z.object(PARKED_CONDITIONS), { io: 'input' }).properties ?? {};
const PARKED_PARAMETERS: readonly Parameter[] = [
  ...Object.entries(CONDITIONS).map(([name, schema]) => ({
    ...{ name, place: 'query' as const, schema: schema as object },
    description: `Only what has this ${name}.`,
  })),
  {
    ...{ name: 'olderThanMs', place: 'query', description: 'Only what has been parked for so long.' },
    schema: { type: 'string', pattern: '^\\d{1,12}$' },
  },
  ...pageParameters(),
];

/** What operators may ask of the API. */
export const OPERATOR_OPERATIONS: readonly Operation[] = [
  ...REPAIR_OPERATIONS,
  {
    method: 'get',
    path: '/v1/events',
    id: 'streamNotices',
    tag: 'operators',
    summary: 'What people should hear of, as server-sent events: what is parked, dead or stuck, each as it happens.',
    parameters: [
      {
        ...{ name: 'Last-Event-ID', place: 'header', description: 'Only events after this one.' },
        schema: { type: 'string' },
      },
    ],
    answers: [
      {
        ...{ status: 200, description: 'Events named by their `type`; their data is what the webhook is sent.' },
        ...{ schema: { type: 'string' }, mediaType: 'text/event-stream' },
      },
    ],
    problems: [...V1, 'invalid-request', 'too-many-streams'],
  },
  {
    method: 'get',
    path: '/v1/parked',
    id: 'listParked',
    tag: 'operators',
    summary: 'What waits for a person, newest first: steps of sagas, and messages, with what may be done about each.',
    parameters: PARKED_PARAMETERS,
    answers: [{ status: 200, description: 'A page of what is parked.', schema: 'ParkedPage' }],
    problems: [...V1, 'invalid-request'],
  },
  actionsOf(
    '/v1/sagas/{id}/actions',
    'operateSaga',
    'Does something about a parked step, in the name of a person who says why.',
  ),
  actionsOf('/v1/messages/{id}/actions', 'operateMessage', 'The same for a parked message.'),
];

function actionsOf(path: string, id: string, summary: string): Operation {
  return {
    method: 'post',
    ...{ path, id, tag: 'operators', summary },
    parameters: [{ ...SAGA_ID, description: 'Of the saga or message.' }, TRACE],
    body: { schema: 'ActionRequest', required: true },
    answers: [
      { status: 200, description: 'Recorded, and its workflow has answered.', schema: 'Action' },
      {
        status: 202,
        description: 'Recorded; its workflow could not be reached and will be told later.',
        schema: 'Action',
      },
    ],
    problems: [...WITH_BODY, 'not-found', 'action-not-legal', 'may-repeat-effect', 'action-id-reused'],
  };
}

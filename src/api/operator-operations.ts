import { pageParameters, SAGA_ID, TRACE, V1, WITH_BODY, type Operation } from './operations.js';

/** What operators may ask of the API. */
export const OPERATOR_OPERATIONS: readonly Operation[] = [
  {
    method: 'get',
    path: '/v1/parked',
    id: 'listParked',
    tag: 'operators',
    summary: 'Parked sagas, newest first, with what may be done about each parked step.',
    parameters: pageParameters(),
    answers: [{ status: 200, description: 'A page of parked sagas.', schema: 'ParkedPage' }],
    problems: [...V1, 'invalid-request'],
  },
  {
    method: 'post',
    path: '/v1/sagas/{id}/actions',
    id: 'operateSaga',
    tag: 'operators',
    summary: 'Does something about a parked step, in the name of a person who says why.',
    parameters: [SAGA_ID, TRACE],
    body: { schema: 'ActionRequest', required: true },
    answers: [
      { status: 200, description: 'Recorded, and its workflow has answered.', schema: 'Action' },
      {
        status: 202,
        description: 'Recorded; its workflow could not be reached and will be told later.',
        schema: 'Action',
      },
    ],
    problems: [...WITH_BODY, 'not-found', 'action-not-legal', 'action-id-reused'],
  },
];

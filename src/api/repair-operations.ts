import { pageParameters, TRACE, V1, WITH_BODY, type Operation, type Parameter } from './operations.js';

const ID: Parameter = { name: 'id', place: 'path', description: "The repair's id.", schema: { type: 'string' } };
const PATH = '/v1/repairs';

/** One action on many parked items. */
export const REPAIR_OPERATIONS: readonly Operation[] = [
  {
    method: 'post',
    path: PATH,
    id: 'previewRepair',
    tag: 'operators',
    summary: 'Shows the calls that one action on all parked items of a query would be; makes none of them.',
    parameters: [TRACE],
    body: { schema: 'RepairRequest', required: true },
    answers: [{ status: 201, description: 'The preview.', schema: 'Repair', headers: { Location: 'The repair.' } }],
    problems: [...WITH_BODY],
  },
  {
    method: 'get',
    path: `${PATH}/{id}`,
    id: 'getRepair',
    tag: 'operators',
    summary: 'A repair, how far it is, and a page of its items.',
    parameters: [
      ID,
      {
        ...{ name: 'status', place: 'query', description: 'Only items of this status.' },
        schema: { type: 'string', enum: ['planned', 'refused', 'done', 'skipped'] },
      },
      ...pageParameters(),
    ],
    answers: [{ status: 200, description: 'The repair.', schema: 'Repair' }],
    problems: [...V1, 'invalid-request', 'not-found'],
  },
  {
    method: 'post',
    path: `${PATH}/{id}/confirm`,
    id: 'confirmRepair',
    tag: 'operators',
    summary: 'Lets a repair run as it was previewed, so many calls a second.',
    parameters: [ID, TRACE],
    body: { schema: 'RepairConfirmation', required: true },
    answers: [{ status: 202, description: 'It runs; the confirmation is durable.', schema: 'Repair' }],
    problems: [...WITH_BODY, 'not-found', 'repair-not-as-previewed', 'repair-ended'],
  },
  {
    method: 'post',
    path: `${PATH}/{id}/cancel`,
    id: 'cancelRepair',
    tag: 'operators',
    summary: 'Stops a repair: calls under way are finished, no other is made.',
    parameters: [ID, TRACE],
    answers: [{ status: 202, description: 'Cancelled.', schema: 'Repair' }],
    problems: [...V1, 'not-found', 'repair-ended'],
  },
];

import type { Operation, Parameter } from './operations.js';
import type { ProblemName } from './problems.js';

const ID: Parameter = { name: 'id', place: 'path', description: "The message's id.", schema: { type: 'string' } };
const VERDICT_PROBLEMS: readonly ProblemName[] = ['not-found', 'message-decided'];

/** What the operations of half messages share with the others. */
export interface SharedParts {
  readonly idempotencyKey: Parameter;
  readonly trace: Parameter;
  readonly replayed: Readonly<Record<string, string>>;
  readonly v1: readonly ProblemName[];
  readonly withBody: readonly ProblemName[];
}

/** The operations of half messages, as the OpenAPI document describes them. */
export function halfMessageOperations(shared: SharedParts): readonly Operation[] {
  const verdict = (word: 'confirm' | 'rollback', id: string, summary: string): Operation => ({
    method: 'post',
    path: `/v1/messages/{id}/${word}`,
    id,
    tag: 'messages',
    summary,
    parameters: [ID, shared.trace],
    answers: [{ status: 200, description: 'The verdict that stands.', schema: 'MessageVerdict' }],
    problems: [...shared.withBody, ...VERDICT_PROBLEMS],
  });
  return [
    {
      method: 'post',
      path: '/v1/messages',
      id: 'prepareMessage',
      tag: 'messages',
      summary: 'Prepares a half message: stored durably, delivered once its producer has confirmed.',
      parameters: [shared.idempotencyKey, shared.trace],
      body: { schema: 'PrepareRequest', required: true },
      answers: [
        {
          status: 201,
          description: 'Prepared.',
          schema: 'PreparedMessage',
          headers: { Location: 'The message.', ...shared.replayed },
        },
      ],
      problems: [...shared.withBody, 'invalid-idempotency-key', 'idempotency-key-reused'],
    },
    {
      method: 'get',
      path: '/v1/messages/{id}',
      id: 'getMessage',
      tag: 'messages',
      summary: 'A message as it is now: a half message, or one that was sent from SQL.',
      parameters: [ID],
      answers: [{ status: 200, description: 'The message.', schema: 'Message' }],
      problems: [...shared.v1, 'not-found'],
    },
    verdict('confirm', 'confirmMessage', 'Says that the local transaction has committed: the message is delivered.'),
    verdict(
      'rollback',
      'rollBackMessage',
      'Says that the local transaction will never commit: the message is dropped.',
    ),
  ];
}

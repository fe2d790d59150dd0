import { randomUUID } from 'node:crypto';
import { userInfo } from 'node:os';
import type { ActionView } from '../api/operator-schemas.js';
import { UsageError } from './errors.js';
import { jsonOf, type Command, type Values } from './options.js';

/** What may be done about what is parked, by the name of its command. */
export const ACTIONS: readonly string[] = [
  ...['retry', 'skip', 'compensate', 'resolve', 'edit'],
  ...['resend', 'confirm', 'discard'],
];

/** What every action says of itself, from the options. */
export function givenOf(action: string, values: Values): object {
  if (values.reason === undefined) throw new UsageError(`'${action}' needs --reason: it is kept`);
  return {
    ...{ action, actor: values.actor ?? userInfo().username, reason: values.reason, outcome: values.outcome },
    ...{ result: jsonOf('result', values.result), payload: jsonOf('payload', values.payload) },
    ...(values['may-repeat'] === true && { mayRepeat: true }),
  };
}

/** Does something about a parked saga or message. */
export async function act({ client, values, print }: Command, action: string, id: string): Promise<void> {
  const actionId = values['action-id'] ?? randomUUID();
  const body = { actionId, ...givenOf(action, values), step: values.step };
  const answer = await client<ActionView>(`${pathOf(id)}/actions`, body).catch((cause: unknown) => {
    // under this id it can be repeated, whatever became of it
    (cause as Error).message += ` (action ${actionId})`;
    throw cause;
  });
  if (values.json === true) return print(JSON.stringify(answer));
  print(
    `${answer.id} is ${answer.state}: ${answer.action} '${answer.step}' by ${answer.actor} (action ${answer.actionId})`,
  );
}

/**
 * Where the API has a saga or message.
 *
 * @throws UsageError when it is the id of neither
 */
export function pathOf(id: string): string {
  if (!/^(sg|msg|om)_/.test(id)) throw new UsageError(`'${id}' is no id of a saga (sg_…) or message (msg_…, om_…)`);
  return `/v1/${id.startsWith('sg_') ? 'sagas' : 'messages'}/${encodeURIComponent(id)}`;
}

import type { HalfMessageView } from '../api/half-message-schemas.js';
import type { ParkedPage, ParkedView } from '../api/operator-schemas.js';
import type { OutboxMessageView } from '../api/outbox-schemas.js';
import type { SagaPage, SagaView } from '../api/schemas.js';
import { pathOf } from './act.js';
import { queryOf, spanOf, type Command, type Values } from './options.js';
import { printTable, tableOf } from './table.js';
import { timelineOf } from './timeline.js';

/** Lists what waits for a person, or sagas in another state. */
export async function list(command: Command): Promise<void> {
  const { state = 'parked' } = command.values;
  return state === 'parked' ? listParked(command) : listSagas(command, state);
}

async function listParked(command: Command): Promise<void> {
  const { client, values, print } = command;
  const { limit, cursor } = values;
  const page = await client<ParkedPage>(`/v1/parked?${queryOf({ ...conditionsOf(values), limit, cursor })}`);
  if (values.json === true) return print(JSON.stringify(page));
  if (page.items.length === 0) return print('nothing is parked');
  const rows = page.items.map(({ id, type, step, direction, since, actions, reason }) => [
    ...[id, type, `${step}/${direction}`, since, actions.join(','), `${reason.code}: ${reason.message}`],
  ]);
  printTable(command, tableOf(['id', 'type', 'parked at', 'since', 'possible', 'reason'], rows));
  if (page.next !== null) print(`more: --cursor ${page.next}`);
}

async function listSagas(command: Command, state: string): Promise<void> {
  const { client, values, print } = command;
  const { limit, cursor, type } = values;
  const query = queryOf({ state: state === 'all' ? undefined : state, type, limit, cursor });
  const page = await client<SagaPage>(`/v1/sagas?${query}`);
  if (values.json === true) return print(JSON.stringify(page));
  if (page.sagas.length === 0) return print(state === 'all' ? 'no sagas' : `no ${state} sagas`);
  const rows = page.sagas.map(({ sagaId, type: ofType, state: is, businessKey, acceptedAt, reason, parkReason }) => [
    ...[sagaId, ofType, is, businessKey, acceptedAt, (parkReason ?? reason)?.message ?? ''],
  ]);
  printTable(command, tableOf(['saga', 'type', 'state', 'key', 'accepted', 'reason'], rows));
  if (page.next !== null) print(`more: --cursor ${page.next}`);
}

/** Which parked items the options name. */
export function conditionsOf(values: Values): Readonly<Record<string, string | number | undefined>> {
  const { kind, type, code, step } = values;
  return { kind, type, step, reason: code, olderThanMs: spanOf('older-than', values['older-than']) };
}

/** Shows a saga or a message: what happened, what may be done, what operators did. */
export async function show(command: Command, id: string): Promise<void> {
  const { client, values, print } = command;
  const subject = await client<SagaView | HalfMessageView | OutboxMessageView>(pathOf(id));
  const { items } = await client<ParkedPage>(`/v1/parked?${queryOf({ id })}`);
  if (values.json === true) return print(JSON.stringify({ ...subject, parked: items }));
  printTable(command, 'sagaId' in subject ? timelineOf(subject) : linesOf(subject));
  const actions = 'actions' in subject ? actionLines(subject) : [];
  print([...items.flatMap(parkedLines), ...actions].join('\n'));
}

function linesOf(message: HalfMessageView | OutboxMessageView): readonly string[] {
  const { messageId, type, state, attempts, lastError } = message;
  const sent = `attempts ${attempts}${lastError === null ? '' : `; ${lastError}`}`;
  return [
    `${messageId}  ${type}  ${state}`,
    'verdict' in message ? `  ${verdictOf(message)}; ${sent}` : `  sent with its transaction; ${sent}`,
  ];
}

function verdictOf({ verdict, decidedBy, checks, silences }: HalfMessageView): string {
  const decided = verdict === null ? 'no verdict' : `${verdict}, says the ${decidedBy}`;
  return `${decided}; checks ${checks} answered, ${silences} silent`;
}

function parkedLines({ step, reason, actions, mayRepeat }: ParkedView): string[] {
  return [
    `parked at '${step}': ${reason.message} (${reason.code})`,
    `  possible: ${actions.join(', ')}${mayRepeat ? '; sending again may repeat the effect: --may-repeat' : ''}`,
  ];
}

function actionLines({ actions }: Pick<SagaView, 'actions'>): string[] {
  const lines = actions.map(
    ({ at, actor, action, step, reason, actionId }) =>
      `  ${at}  ${actor}: ${action} '${step}', ${reason} (${actionId})`,
  );
  return lines.length > 0 ? ['operators', ...lines] : [];
}

import { randomUUID } from 'node:crypto';
import { userInfo } from 'node:os';
import { parseArgs } from 'node:util';
import type { ActionView, ParkedPage } from '../api/operator-schemas.js';
import type { SagaPage, SagaView } from '../api/schemas.js';
import { createClient, type Client, type ClientSettings } from './client.js';
import { coloured, tableOf } from './table.js';
import { timelineOf } from './timeline.js';

/** What a command runs with. */
export interface CommandContext {
  readonly settings: ClientSettings;
  readonly print: (text: string) => void;
  readonly hasColours: boolean;
}

const HELP = `settle <command>

  list                    parked sagas, what each waits for and what may be done; newest first
    --state <state>       sagas in another state: accepted, running, completed, compensating, compensated; or all
    --limit <n>  --cursor <next>
  show <saga>             a saga's timeline, why it is parked, and what operators did
  retry <saga>            try the failed step, or its undo, again
  skip <saga>             attest that the effect is there, or undone: it is not asked for again
    --result <json>       what it resulted in; not for an undo
  compensate <saga>       give up going forward and take back what was done
  resolve <saga>          end the saga as a person says it ended
    --outcome completed|compensated
  edit <saga>             another payload under the same effect key, then retry
    --payload <json>

  --reason <text>         why; needed by every action, and kept
  --actor <name>          who; by default the user of this machine
  --step <name>           needed when several steps are parked
  --action-id <id>        repeat an action whose answer was lost: it counts once
  --json                  the API's answer as it is
  --url <url>             the API; SETTLE_URL, else http://127.0.0.1:3000; its key is SETTLE_API_KEY`;

const ACTIONS = ['retry', 'skip', 'compensate', 'resolve', 'edit'];
const TEXT = { type: 'string' } as const;
const FLAG = { type: 'boolean' } as const;
const OPTIONS = {
  ...{ state: TEXT, limit: TEXT, cursor: TEXT, result: TEXT, outcome: TEXT, payload: TEXT },
  ...{ reason: TEXT, actor: TEXT, step: TEXT, 'action-id': TEXT, url: TEXT, json: FLAG, help: FLAG },
};

type Values = ReturnType<typeof parse>['values'];

interface Command extends CommandContext {
  readonly client: Client;
  readonly values: Values;
}

/**
 * Runs one command of `npx settle`.
 *
 * @throws Error, one line, that says what was wrong
 */
export async function runCommand(args: readonly string[], context: CommandContext): Promise<void> {
  const { values, positionals } = parse(args);
  const [name = '', sagaId, ...more] = positionals;
  if (values.help === true || name === '') return context.print(HELP);
  const client = createClient({ ...context.settings, url: values.url ?? context.settings.url });
  const command: Command = { ...context, client, values };
  if (more.length > 0) throw new Error(`'${more.join(' ')}' is too much; --help shows the commands`);
  if (name === 'list') return list(command);
  if (name !== 'show' && !ACTIONS.includes(name)) throw new Error(`'${name}' is no command; --help lists them`);
  if (sagaId === undefined) throw new Error(`'${name}' needs the id of a saga`);
  return name === 'show' ? show(command, sagaId) : act(command, name, sagaId);
}

function parse(
  args: readonly string[],
): ReturnType<typeof parseArgs<{ options: typeof OPTIONS; allowPositionals: true }>> {
  return parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true });
}

async function list({ client, values, print, hasColours }: Command): Promise<void> {
  const { state = 'parked', limit, cursor } = values;
  const query = new URLSearchParams({
    ...(state !== 'parked' && state !== 'all' && { state }),
    ...(limit !== undefined && { limit }),
    ...(cursor !== undefined && { cursor }),
  });
  const page = await client<ParkedPage | SagaPage>(
    `/v1/${state === 'parked' ? 'parked' : 'sagas'}?${query.toString()}`,
  );
  if (values.json === true) return print(JSON.stringify(page));
  if (page.sagas.length === 0) return print(state === 'all' ? 'no sagas' : `no ${state} sagas`);
  const [headings, ...rows] =
    'parked' in page.sagas[0]! ? parkedTable(page as ParkedPage) : sagaTable(page as SagaPage);
  print([headings, ...rows.map((row) => (hasColours ? coloured(row) : row))].join('\n'));
  if (page.next !== null) print(`more: --cursor ${page.next}`);
}

function parkedTable({ sagas }: ParkedPage): readonly string[] {
  const rows = sagas.flatMap(({ sagaId, type, parked }) =>
    parked.map(({ step, direction, since, reason, actions }) => [
      ...[sagaId, type, `${step}/${direction}`, since, actions.join(','), `${reason.code}: ${reason.message}`],
    ]),
  );
  return tableOf(['saga', 'type', 'parked at', 'since', 'possible', 'reason'], rows);
}

function sagaTable({ sagas }: SagaPage): readonly string[] {
  const rows = sagas.map(({ sagaId, type, state, businessKey, acceptedAt, reason, parkReason }) => [
    ...[sagaId, type, state, businessKey, acceptedAt, (parkReason ?? reason)?.message ?? ''],
  ]);
  return tableOf(['saga', 'type', 'state', 'key', 'accepted', 'reason'], rows);
}

async function show({ client, values, print, hasColours }: Command, sagaId: string): Promise<void> {
  const saga = await client<SagaView>(`/v1/sagas/${encodeURIComponent(sagaId)}`);
  if (values.json === true) return print(JSON.stringify(saga));
  const [head = '', ...table] = timelineOf(saga);
  const waiting = saga.steps.flatMap(({ name, parkReason }) =>
    parkReason ? [`parked at '${name}': ${parkReason.message} (${parkReason.code})`] : [],
  );
  const done = saga.actions.map(
    ({ at, actor, action, step, reason, actionId }) => `${at}  ${actor}: ${action} '${step}', ${reason} (${actionId})`,
  );
  const lines = [
    hasColours ? coloured(head) : head,
    ...table,
    ...waiting,
    ...(done.length > 0 ? ['operators', ...done.map((line) => `  ${line}`)] : []),
  ];
  print(lines.join('\n'));
}

async function act({ client, values, print }: Command, action: string, sagaId: string): Promise<void> {
  if (values.reason === undefined) throw new Error(`'${action}' needs --reason: it is kept with the saga`);
  const actionId = values['action-id'] ?? randomUUID();
  const body = {
    ...{ actionId, action, actor: values.actor ?? userInfo().username, reason: values.reason },
    ...{ step: values.step, outcome: values.outcome },
    ...{ result: jsonOf('result', values.result), payload: jsonOf('payload', values.payload) },
  };
  const answer = await client<ActionView>(`/v1/sagas/${encodeURIComponent(sagaId)}/actions`, body).catch(
    (cause: unknown) => {
      throw new Error(`${(cause as Error).message} (action ${actionId})`, { cause });
    },
  );
  if (values.json === true) return print(JSON.stringify(answer));
  print(
    `${answer.sagaId} is ${answer.state}: ${answer.action} '${answer.step}' by ${answer.actor} (action ${answer.actionId})`,
  );
}

function jsonOf(option: string, text: string | undefined): unknown {
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw new Error(`--${option} is no JSON: ${(cause as Error).message}`, { cause });
  }
}

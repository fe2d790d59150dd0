import type { RepairView } from '../api/repair-schemas.js';
import { ACTIONS, givenOf } from './act.js';
import { UsageError } from './errors.js';
import { conditionsOf } from './look.js';
import { countOf, queryOf, type Command } from './options.js';
import { printTable, tableOf } from './table.js';

/** One action on everything parked that the options name, or a look at such a repair. */
export async function repair(command: Command, [verb, id]: readonly string[]): Promise<void> {
  if (verb !== undefined && ACTIONS.includes(verb) && !(verb === 'confirm' && id !== undefined)) {
    if (id !== undefined) throw new UsageError(`'repair ${verb}' takes no id: options say what is meant`);
    return preview(command, verb);
  }
  if (verb !== 'show' && verb !== 'confirm' && verb !== 'cancel') {
    throw new UsageError(`'repair' needs an action (${ACTIONS.join(', ')}), or show, confirm or cancel`);
  }
  if (id === undefined) throw new UsageError(`'repair ${verb}' needs the id of a repair`);
  if (verb === 'show') return look(command, id);
  const path = `/v1/repairs/${encodeURIComponent(id)}`;
  return report(
    command,
    verb === 'cancel'
      ? await command.client<RepairView>(`${path}/cancel`, {})
      : await confirm(command, await command.client<RepairView>(path)),
  );
}

async function preview(command: Command, action: string): Promise<void> {
  const { client, values, print, ask } = command;
  const planned = await client<RepairView>('/v1/repairs', {
    ...givenOf(action, values),
    query: { ...conditionsOf(values), limit: countOf('limit', values.limit) },
    perSecond: countOf('per-second', values['per-second']),
  });
  if (values.yes === true) return report(command, await confirm(command, planned));
  report(command, planned);
  if (values.json === true) return;
  if (planned.count === 0) return print('there is nothing that it could be done to');
  const isSure = /^y(es)?$/i.test((await ask?.(`make ${planned.count} calls? [y/N] `)) ?? '');
  if (isSure) return report(command, await confirm(command, planned));
  print(`nothing was done; it is confirmed by: npx settle repair confirm ${planned.repairId}`);
}

function confirm({ client }: Command, { repairId, etag, count }: RepairView): Promise<RepairView> {
  return client<RepairView>(`/v1/repairs/${repairId}/confirm`, { etag, count });
}

async function look(command: Command, id: string): Promise<void> {
  const { status, cursor, limit } = command.values;
  const query = queryOf({ status, cursor, limit });
  report(command, await command.client<RepairView>(`/v1/repairs/${encodeURIComponent(id)}?${query}`));
}

function report(command: Command, view: RepairView): void {
  const { values, print } = command;
  if (values.json === true) return print(JSON.stringify(view));
  const { repairId, state, action, count, refused, mayRepeat, progress, items, next } = view;
  const rows = items.map(({ id, step, action: what, status, mayRepeat: repeats, state: is, reason }) => [
    ...[
      id,
      step,
      what,
      status,
      repeats ? 'may repeat' : '',
      is ?? '',
      reason ? `${reason.code}: ${reason.message}` : '',
    ],
  ]);
  printTable(command, tableOf(['id', 'step', 'action', 'status', 'effect', 'now', 'reason'], rows));
  if (next !== null) print(`more: npx settle repair show ${repairId} --cursor ${next}`);
  const { planned, done, skipped } = progress;
  print(
    `${repairId} is ${state}: ${action} on ${count} (${planned} planned, ${done} done, ${skipped} skipped), ` +
      `${refused} refused, ${mayRepeat} may repeat their effect`,
  );
}

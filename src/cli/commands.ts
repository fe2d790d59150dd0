import { act, ACTIONS } from './act.js';
import { createClient } from './client.js';
import { UsageError } from './errors.js';
import { list, show } from './look.js';
import { HELP, parse, type Command, type CommandContext } from './options.js';
import { repair } from './repair.js';

/**
 * Runs one command of `npx settle`.
 *
 * @throws Error, one line, that says what was wrong; see `exitCodeOf`
 */
export async function runCommand(args: readonly string[], context: CommandContext): Promise<void> {
  const { values, positionals } = parse(args);
  const [name = '', ...operands] = positionals;
  if (values.help === true || name === '') return context.print(HELP);
  const client = createClient({ ...context.settings, url: values.url ?? context.settings.url });
  const command: Command = { ...context, client, values };
  if (name === 'list') return withOperands(operands, 0, () => list(command));
  if (name === 'repair') return withOperands(operands, 2, () => repair(command, operands));
  if (name !== 'show' && !ACTIONS.includes(name)) throw new UsageError(`'${name}' is no command; --help lists them`);
  const [id] = operands;
  if (id === undefined) throw new UsageError(`'${name}' needs the id of a saga or message`);
  return withOperands(operands, 1, () => (name === 'show' ? show(command, id) : act(command, name, id)));
}

function withOperands(operands: readonly string[], atMost: number, run: () => Promise<void>): Promise<void> {
  const more = operands.slice(atMost);
  if (more.length > 0) throw new UsageError(`'${more.join(' ')}' is too much; --help shows the commands`);
  return run();
}

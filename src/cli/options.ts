import { parseArgs } from 'node:util';
import type { Client, ClientSettings } from './client.js';
import { UsageError } from './errors.js';

/** What a command runs with. */
export interface CommandContext {
  readonly settings: ClientSettings;
  readonly print: (text: string) => void;
  readonly hasColours: boolean;
  /** Asks the person at the terminal; absent when there is none. */
  readonly ask?: (question: string) => Promise<string>;
}

/** A command with what it was given. */
export interface Command extends CommandContext {
  readonly client: Client;
  readonly values: Values;
}

/** The options that were given. */
export type Values = ReturnType<typeof parse>['values'];

export const HELP = `settle <command>

  list                    what waits for a person, and what may be done about it; newest first
    --kind saga|half-message|outbox-message  --type <type>  --code <reason code>  --step <name>  --older-than <30s|10m|2h|3d>
    --state <state>       sagas in another state: accepted, running, held, completed, compensating, compensated; or all
    --limit <n>  --cursor <next>
  show <id>               a saga's timeline or a message, why it is parked, what may be done and what operators did

  retry <id>              try the failed step, or its undo, again; ask for a message's verdict again
  skip <id>               attest that the effect is there, or undone: it is not asked for again
    --result <json>       what it resulted in; not for an undo
  compensate <saga>       give up going forward and take back what was done
  resolve <saga>          end the saga as a person says it ended
    --outcome completed|compensated
  edit <id>               another payload under the same effect key, then sent
    --payload <json>
  resend <message>        send it again, under the same effect key
  confirm <message>       give the verdict that its producer did not give: deliver it
  discard <message>       give it up

  repair <action>         the same action on all that 'list' with these options shows: a preview, then a question
    --limit <n>           items at the most; 1000 unless told
    --per-second <n>      calls a second; 10 unless told
    --yes                 confirm without a question
  repair show <repair>    how far it is; --status planned|refused|done|skipped, --cursor
  repair confirm|cancel <repair>

  --reason <text>         why; needed by every action, and kept
  --actor <name>          who; by default the user of this machine
  --step <name>           needed when several steps are parked
  --may-repeat            send again what participants may have forgotten: it may be applied twice
  --action-id <id>        repeat an action whose answer was lost: it counts once
  --json                  the API's answer as it is
  --url <url>             the API; SETTLE_URL, else http://127.0.0.1:3000; its key is SETTLE_API_KEY

Ends with 0 when it is done, 1 when the API refused, 2 when the command is wrong, 3 when the API does not answer.
Colours on a terminal only, and not when NO_COLOR is set.`;

const TEXT = { type: 'string' } as const;
const FLAG = { type: 'boolean' } as const;
const OPTIONS = {
  ...{ state: TEXT, limit: TEXT, cursor: TEXT, result: TEXT, outcome: TEXT, payload: TEXT, status: TEXT },
  ...{ kind: TEXT, type: TEXT, code: TEXT, 'older-than': TEXT, 'per-second': TEXT },
  ...{ reason: TEXT, actor: TEXT, step: TEXT, 'action-id': TEXT, url: TEXT },
  ...{ json: FLAG, help: FLAG, yes: FLAG, 'may-repeat': FLAG },
};

/** Takes a command line apart. */
export function parse(
  args: readonly string[],
): ReturnType<typeof parseArgs<{ options: typeof OPTIONS; allowPositionals: true }>> {
  return parseArgs({ args: [...args], options: OPTIONS, allowPositionals: true });
}

const UNITS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** A span such as `2h` in ms; undefined when it was not given. */
export function spanOf(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const [, count, unit] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  if (unit === undefined) throw new UsageError(`--${option} must be such as 30s, 10m, 2h or 3d, not '${text}'`);
  return Number(count) * UNITS[unit]!;
}

/** A whole number above 0; undefined when it was not given. */
export function countOf(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new UsageError(`--${option} must be a whole number, not '${text}'`);
  return Number(text);
}

/** A JSON value; undefined when it was not given. */
export function jsonOf(option: string, text: string | undefined): unknown {
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw new UsageError(`--${option} is no JSON: ${(cause as Error).message}`, { cause });
  }
}

/** The query of an address, of what was given. */
export function queryOf(members: Readonly<Record<string, string | number | undefined>>): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(members)) if (value !== undefined) query.set(name, String(value));
  return query.toString();
}

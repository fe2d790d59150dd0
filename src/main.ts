import { parseArgs } from 'node:util';
import { pino } from 'pino';
import { aborted } from './aborted.js';
import { loadConfig } from './config.js';
import type { Config } from './config.js';
import type { StopSignals } from './dev/stack.js';
import { HORIZONS } from './horizons.js';
import { reasonOf } from './reach.js';
import { startRoles } from './roles.js';
import type { Role } from './roles.js';
import { days, resendMs } from './saga/windows.js';

const HELP = `node dist/src/main.js <command>

  dev            everything on this machine, servers included; what npm start runs
  demo           the same for a minute: orders, payments, registrations; shows their sagas and checks the books
  api            the HTTP API
  worker         the workflows, their activities and the ledger scan
  participants   the sample participants: inventory, accounts, profiles
  all            api, worker and participants in one process
  migrate        brings the databases and the Temporal namespace to this release, then ends
                 --seed   with the sample's customers, stock and accounts

  --transport T  with dev and demo: how messages reach the sample participants; http (default), rabbitmq, kafka, rocketmq,
                 redis, or all: each scenario by one of them. Brokers come up with the rest
  --verbose      with dev: how long the start took, and the memory of everything at rest
  --help

Settings come from the environment; src/settings.md lists them.`;

/** Roles by command. */
const ROLES: Readonly<Record<string, readonly Role[]>> = {
  api: ['api'],
  worker: ['worker'],
  participants: ['participants'],
  all: ['participants', 'worker', 'api'],
};

/** npm hands a Ctrl-C on that the terminal has sent already: two within this time are one. */
const SAME_KEY_MS = 500;

async function main(): Promise<void> {
  const { values, positionals } = readArguments();
  const [command, ...more] = positionals;
  if (values.help === true) return print(HELP);
  const isKnown = command !== undefined && (command in ROLES || ['dev', 'demo', 'migrate'].includes(command));
  if (!isKnown || more.length > 0) throw new Error(`'${positionals.join(' ')}' is no command; --help lists them`);
  const overrides = values.transport === undefined ? {} : { SETTLE_TRANSPORT: values.transport };
  const config = loadConfig(undefined, overrides);
  const signals = listenForSignals();
  // what a command needs is loaded only now
  if (command === 'migrate') {
    const { migrateAll } = await import('./roles/migrate.js');
    return migrateAll(config, { seed: values.seed === true });
  }
  if (command === 'dev') {
    const { runDev } = await import('./dev/run-dev.js');
    return runDev({ config, isVerbose: values.verbose === true, print, signals });
  }
  if (command === 'demo') {
    const { runDemo } = await import('./dev/demo.js');
    return runDemo({ loadConfig: (own) => loadConfig(undefined, { ...overrides, ...own }), print, signals });
  }
  return runRoles(config, ROLES[command] ?? [], signals);
}

interface Flags {
  readonly help?: boolean;
  readonly verbose?: boolean;
  readonly seed?: boolean;
  readonly transport?: string;
}

function readArguments(): { values: Flags; positionals: string[] } {
  const flag = { type: 'boolean' } as const;
  const options = { help: flag, verbose: flag, seed: flag, transport: { type: 'string' } } as const;
  return parseArgs({ options, allowPositionals: true });
}

async function runRoles(config: Config, roles: readonly Role[], { stop }: StopSignals): Promise<void> {
  const logger = pino({ level: config.logLevel });
  if (roles.includes('worker')) (await import('./worker.js')).installRuntime(logger);
  const running = await startRoles({ config, roles, logger });
  const resend = days(resendMs(HORIZONS, config.windows));
  logger.info({ roles, ...running.urls, resend }, 'ready');
  try {
    await Promise.race([aborted(stop), running.failed]);
  } finally {
    logger.info({ roles }, 'stopping');
    await running.stop();
  }
}

function listenForSignals(): StopSignals {
  const stop = new AbortController();
  const force = new AbortController();
  let firstAt = 0;
  const onSignal = (): void => {
    if (!stop.signal.aborted) {
      firstAt = Date.now();
      stop.abort(new Error('stopped before it was ready'));
    } else if (Date.now() - firstAt > SAME_KEY_MS) {
      force.abort();
      process.exit(130);
    }
  };
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, onSignal);
  return { stop: stop.signal, force: force.signal };
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

// a closed terminal must not keep us from stopping in order
process.stdout.on('error', () => undefined);

try {
  await main();
  process.exit(0);
} catch (error) {
  process.stderr.write(`settle: ${reasonOf(error)}\n`);
  process.exit(1);
}

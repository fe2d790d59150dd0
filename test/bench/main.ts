import { loadConfig } from '../../src/config.js';
import { benchOutbox } from './outbox.js';
import type { BenchOptions, Measure } from './measure.js';
import { tableOf } from './measure.js';
import { planOf } from './sagas/plan.js';
import { runToEnd } from './sagas/run-to-end.js';
import { benchSagas } from './sagas/sagas.js';
import { benchTransports } from './transports.js';

/** What a benchmark has to say. */
interface Report {
  readonly text: string;
  readonly json: unknown;
  /** Why no figure counts. @default nothing is off */
  readonly faults?: readonly string[];
}

interface CommandLine extends BenchOptions {
  /** The word behind `--out`. */
  readonly out?: string;
}

/**
 * `npm run bench -- [<name>] [<word>…] [--json] [--out <folder>] [--<option> <number>]`: one benchmark, one table. It ends with an error
 * when the books of a run are off, as no figure counts then; a target that is missed is only marked, as machines differ.
 */
const BENCHMARKS: Readonly<Record<string, (options: CommandLine) => Promise<Report>>> = {
  sagas: benchBuild,
  outbox: (options) => measured('outbox', benchOutbox(options)),
  transports: (options) => measured('transports', benchTransports(options)),
};

const [first = '', ...others] = process.argv.slice(2);
const isNamed = first in BENCHMARKS;
const name = isNamed ? first : 'sagas';
const flags = isNamed ? others : [first, ...others];
const numbers = new Map<string, number>();
for (const [index, flag] of flags.entries()) {
  const value = Number(flags[index + 1]);
  if (flag.startsWith('--') && Number.isInteger(value) && value > 0) numbers.set(flag.slice(2), value);
}
const outAt = flags.indexOf('--out') + 1;
const {
  text,
  json,
  faults = [],
} = await BENCHMARKS[name]!({
  number: (option, otherwise) => numbers.get(option) ?? otherwise,
  has: (option) => numbers.has(option),
  words: flags.filter((flag, index) => /^[a-z]/.test(flag) && (outAt === 0 || index !== outAt)),
  progress: (line) => void process.stderr.write(`${line}\n`),
  ...(outAt > 0 && { out: flags[outAt] }),
});
process.stdout.write(flags.includes('--json') ? `${JSON.stringify(json, null, 2)}\n` : `${text}\n`);
if (faults.length > 0) {
  process.stderr.write(`the books are off, so that no figure counts:\n${faults.join('\n')}\n`);
  process.exitCode = 1;
}

async function measured(benchmark: string, work: Promise<readonly Measure[]>): Promise<Report> {
  const measures = await work;
  return { text: tableOf(measures), json: { benchmark, measures } };
}

/** Builds what it measures: a build that is older than its sources would be praised for what is gone. */
async function benchBuild(options: CommandLine): Promise<Report> {
  // a word that it does not know is told before the build
  planOf(options);
  options.progress('building');
  await runToEnd('npm', ['run', '--silent', 'build'], process.env);
  const { SETTLE_ROUTES: routesFile } = process.env;
  return benchSagas({ ...options, config: loadConfig(), routesFile });
}

import { benchOutbox } from './outbox.js';
import type { BenchOptions, Measure } from './measure.js';
import { tableOf } from './measure.js';
import { benchTransports } from './transports.js';

/**
 * `npm run bench -- <name> [<word>…] [--json] [--<option> <number>]`: one benchmark, one table. It ends with an error when the books of a run
 * are off, as no figure counts then; a target that is missed is only marked, as machines differ.
 */
const BENCHMARKS: Readonly<Record<string, (options: BenchOptions) => Promise<readonly Measure[]>>> = {
  outbox: benchOutbox,
  transports: benchTransports,
};

const [name = '', ...flags] = process.argv.slice(2);
const bench = BENCHMARKS[name];
if (!bench) {
  process.stderr.write(`usage: npm run bench -- ${Object.keys(BENCHMARKS).join('|')} [--json] [--<option> <number>]\n`);
  process.exit(2);
}
const isJson = flags.includes('--json');
const numbers = new Map<string, number>();
for (const [index, flag] of flags.entries()) {
  const value = Number(flags[index + 1]);
  if (flag.startsWith('--') && Number.isInteger(value) && value > 0) numbers.set(flag.slice(2), value);
}
const measures = await bench({
  number: (option, otherwise) => numbers.get(option) ?? otherwise,
  has: (option) => numbers.has(option),
  words: flags.filter((flag) => /^[a-z]/.test(flag)),
  progress: (text) => void process.stderr.write(`${text}\n`),
});
process.stdout.write(isJson ? `${JSON.stringify({ benchmark: name, measures }, null, 2)}\n` : `${tableOf(measures)}\n`);

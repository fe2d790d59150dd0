import { createRedisStreams } from '../../src/brokers/redis.js';

/** A consumer that begins whatever it is given and never ends it, until it is killed. */
const [url = '', from = '', ordered = 'false'] = process.argv.slice(2);

createRedisStreams({ url, leaseMs: 1_000, idleMs: 1_000 }).subscribe({
  ...{ from, group: 'g', ordered: ordered === 'true' },
  handle: async ({ id }) => {
    process.stdout.write(`begun ${id}\n`);
    await new Promise(() => undefined);
  },
  onTrouble: (error) => void process.stderr.write(`${error.message}\n`),
});

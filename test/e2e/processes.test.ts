import { findFreePorts } from '../../src/dev/ports.js';
import { useDatabase } from '../support/databases.js';
import { runMain, startMain } from '../support/processes.js';

const producer = useDatabase('producer');
const inventory = useDatabase('inventory');
const accounts = useDatabase('accounts');
const profiles = useDatabase('profiles');

async function environment(): Promise<Record<string, string>> {
  const port = String(await findFreePorts(7));
  return {
    PORT: port,
    // Temporal is shared with other test files; the queue keeps their workflows apart
    SETTLE_TASK_QUEUE: `test-${process.pid}-${port}`,
    DATABASE_URL: producer.url,
    SETTLE_INVENTORY_DATABASE_URL: inventory.url,
    SETTLE_ACCOUNTS_DATABASE_URL: accounts.url,
    SETTLE_PROFILES_DATABASE_URL: profiles.url,
    TEMPORAL_ADDRESS: process.env.SETTLE_TEST_TEMPORAL_ADDRESS!,
  };
}

test('all roles run in one process, answer, and end in order when they are asked to', async () => {
  const env = await environment();
  const all = await startMain({ args: ['all'], env });
  const answer = await fetch(`http://127.0.0.1:${env.PORT}/health/ready`);
  expect([answer.status, all.output()]).toEqual([200, expect.stringContaining('"msg":"ready"')]);
  expect(await all.kill('SIGTERM')).toEqual({ code: 0, signal: null });
});

test('a process that is killed is gone at once', async () => {
  const participants = await startMain({ args: ['participants'], env: await environment() });
  expect(await participants.kill('SIGKILL')).toEqual({ code: null, signal: 'SIGKILL' });
  expect(participants.isRunning()).toBe(false);
});

test.each([
  ['a wrong value', { PORT: '99999' }, /^settle: PORT is '99999': must be a port/],
  [
    'an unreachable database',
    { DATABASE_URL: 'postgres://u:secret@127.0.0.1:1/x' },
    /^settle: .*DATABASE_URL.*127|127.*DATABASE_URL/,
  ],
  [
    'an inbox that forgets too soon',
    { SETTLE_INBOX_WINDOW: '3d' },
    /^settle: the inbox window of 3 days is shorter than the [\d.]+ days .*manual window 14 days\); raise SETTLE_INBOX_WINDOW/,
  ],
  [
    'a route over a broker that is not set',
    { SETTLE_TRANSPORT: 'kafka' },
    /^settle: SETTLE_KAFKA_BROKERS must be set, as the route of 'inventory.deduct' goes over kafka; 'dev' brings up/,
  ],
  ['an unreachable Temporal', { TEMPORAL_ADDRESS: '127.0.0.1:1' }, /^settle: .*TEMPORAL_ADDRESS/],
])('%s is one clear line, and nothing starts', async (_, wrong, line) => {
  const { code, output } = await runMain({ args: ['worker'], env: { ...(await environment()), ...wrong } });
  expect(output).toMatch(line);
  expect(output.trim().split('\n')).toHaveLength(1);
  expect(output).not.toContain('secret');
  expect(code).toBe(1);
});

test.each(['api', 'participants', 'all'])('I23: %s does not start with windows that are too short', async (role) => {
  const env = { ...(await environment()), SETTLE_MANUAL_WINDOW: '60d' };
  const { code, output } = await runMain({ args: [role], env });
  expect([code, output]).toEqual([1, expect.stringMatching(/raise SETTLE_INBOX_WINDOW\n$/)]);
});

import { writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { ConfigError, loadConfig, SETTINGS } from '../../src/config.js';
import { SAMPLE_TRANSPORTS } from '../../src/settings.js';
import { withTempFolder } from '../support/temp-folder.js';

/** The one line that a start with these variables ends with. */
function complaintOf(env: NodeJS.ProcessEnv): string {
  try {
    loadConfig(env);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as ConfigError).message;
  }
  return 'none';
}

describe('what is unset', () => {
  test('has the defaults of the table', () => {
    const config = loadConfig({});
    expect(config).toMatchObject({
      ...{ host: '127.0.0.1', port: 3000, inventoryPort: 3001, accountsPort: 3002, profilesPort: 3006 },
      ...{ postgresPort: 3003, temporalPort: 3004, uiPort: 3005, dataDir: resolve('.settle') },
      ...{ databaseUrl: undefined, lane: 'workflow', backlog: 10_000, logLevel: 'info', apiKeys: new Map() },
      temporal: { address: undefined, namespace: 'default', taskQueue: 'settle', uiUrl: 'http://127.0.0.1:3005' },
    });
    expect(config.routes['inventory.deduct']).toEqual({
      transport: 'http',
      url: 'http://127.0.0.1:3001/messages/inventory.deduct',
    });
    expect(config.brokers).toEqual({});
  });

  test('is the same as what is empty', () => {
    const empty = Object.fromEntries(SETTINGS.map(({ name }) => [name, '']));
    expect(loadConfig(empty)).toEqual(loadConfig({}));
  });
});

test('every port follows PORT, and the sample routes follow the ports', () => {
  const config = loadConfig({ PORT: '4000', SETTLE_ACCOUNTS_PORT: '5000' });
  expect([config.inventoryPort, config.accountsPort, config.uiPort]).toEqual([4001, 5000, 4005]);
  expect(config.routes['accounts.debit']).toMatchObject({ url: 'http://127.0.0.1:5000/messages/accounts.debit' });
  expect(config.temporal.uiUrl).toBe('http://127.0.0.1:4005');
});

test('nobody can change a setting once it is read', () => {
  const config = loadConfig({});
  expect(
    [config, config.temporal, config.routes, config.brokers, ...Object.values(config.routes)].every(Object.isFrozen),
  ).toBe(true);
});

test('API keys bring their tenant, default where they name none', () => {
  const { apiKeys } = loadConfig({ SETTLE_API_KEYS: 'k1:acme, k2' });
  expect([...apiKeys]).toEqual([
    ['k1', 'acme'],
    ['k2', 'default'],
  ]);
});

test('an API key for Temporal Cloud implies TLS, which a file can extend', async () => {
  expect(loadConfig({ TEMPORAL_API_KEY: 'x' }).temporal.tls).toBe(true);
  expect(loadConfig({ TEMPORAL_TLS: 'false' }).temporal.tls).toBeUndefined();
  await withTempFolder((folder) => {
    const file = join(folder, 'ca.pem');
    writeFileSync(file, 'pem');
    const { tls } = loadConfig({ TEMPORAL_TLS_CA: file }).temporal;
    expect(tls).toEqual({ serverRootCACertificate: Buffer.from('pem'), clientCertPair: undefined });
    return Promise.resolve();
  });
});

describe('a wrong value is told in one line with the variable, the value and the remedy', () => {
  test.each([
    ['PORT', 'abc', "PORT is 'abc': must be a port from 1 to 65535"],
    ['PORT', '0', "PORT is '0': must be a port from 1 to 65535"],
    ['PORT', '70000', "PORT is '70000': must be a port from 1 to 65535"],
    ['PORT', '3e3', "PORT is '3e3': must be a port from 1 to 65535"],
    ['SETTLE_UI_PORT', '3000', "SETTLE_UI_PORT is '3000': must differ from PORT, which is 3000 too"],
    ['HOST', 'a b', "HOST is 'a b': must be a host name or an IP address"],
    ['TEMPORAL_ADDRESS', 'temporal', "TEMPORAL_ADDRESS is 'temporal': must be 'host:port', e.g. '127.0.0.1:7233'"],
    ['TEMPORAL_NAMESPACE', 'a b', "TEMPORAL_NAMESPACE is 'a b': must be of letters, digits, '.', '_' and '-' only"],
    ['TEMPORAL_TLS', 'yes', "TEMPORAL_TLS is 'yes': must be 'true' or 'false'"],
    ['TEMPORAL_TLS_CA', '/no/file', "TEMPORAL_TLS_CA is '/no/file': must name a readable file (ENOENT)"],
    ['TEMPORAL_UI_URL', 'ui', "TEMPORAL_UI_URL is 'ui': must be an 'http://' or 'https://' URL"],
    ['SETTLE_TASK_QUEUE', ' ', "SETTLE_TASK_QUEUE is ' ': must be of letters, digits, '.', '_' and '-' only"],
    ['SETTLE_BACKLOG', '-1', "SETTLE_BACKLOG is '-1': must be a whole number from 1 to 999999999"],
    ['SETTLE_ROUTES', '/no/file', "SETTLE_ROUTES is '/no/file': must name a readable file (ENOENT)"],
    ['SETTLE_TRANSPORT', 'pigeon', `SETTLE_TRANSPORT is 'pigeon': must be one of ${SAMPLE_TRANSPORTS.join(', ')}`],
    [
      'SETTLE_KAFKA_BROKERS',
      'a:1,b',
      "SETTLE_KAFKA_BROKERS is 'a:1,b': must be 'host:port,host:port', e.g. '127.0.0.1:9092'",
    ],
    [
      'SETTLE_ROCKETMQ_ENDPOINTS',
      'proxy',
      "SETTLE_ROCKETMQ_ENDPOINTS is 'proxy': must be 'host:port', e.g. '127.0.0.1:7233'",
    ],
    ['LOG_LEVEL', 'loud', "LOG_LEVEL is 'loud': must be one of fatal, error, warn, info, debug, trace, silent"],
  ])('%s=%s', (name, value, line) => {
    expect(complaintOf({ [name]: value })).toBe(line);
  });

  test('all of them at once', () => {
    const line = complaintOf({ PORT: 'x', LOG_LEVEL: 'y', SETTLE_BACKLOG: 'z' });
    expect(line).toMatch(/^PORT is 'x'.*; SETTLE_BACKLOG is 'z'.*; LOG_LEVEL is 'y'.*$/);
  });

  test.each([
    ['DATABASE_URL', 'mysql://u:hunter2@h/d'],
    ['SETTLE_INVENTORY_DATABASE_URL', 'hunter2'],
    ['SETTLE_ACCOUNTS_DATABASE_URL', 'hunter2'],
    ['SETTLE_PROFILES_DATABASE_URL', 'hunter2'],
    ['SETTLE_RABBITMQ_URL', 'http://u:hunter2@h'],
    ['SETTLE_REDIS_URL', 'hunter2'],
    ['SETTLE_API_KEYS', 'hunter2:a b'],
    ['SETTLE_API_KEYS', 'hunter2,hunter2:x'],
  ])('a secret one does not show: %s', (name, value) => {
    const line = complaintOf({ [name]: value });
    expect(line).toMatch(new RegExp(`^${name} is \\(hidden\\): must `));
    expect(line).not.toContain('hunter2');
  });
});

test('half a client certificate is refused', async () => {
  await withTempFolder((folder) => {
    const file = join(folder, 'cert.pem');
    writeFileSync(file, 'pem');
    const line = 'TEMPORAL_TLS_KEY is unset: must be set together with TEMPORAL_TLS_CERT';
    expect(complaintOf({ TEMPORAL_TLS_CERT: file })).toBe(line);
    return Promise.resolve();
  });
});

test('a host that others can reach needs API keys', () => {
  expect(complaintOf({ HOST: '0.0.0.0' })).toBe(
    "SETTLE_API_KEYS is unset: must be set, as HOST '0.0.0.0' is open to other machines",
  );
  expect(loadConfig({ HOST: '0.0.0.0', SETTLE_API_KEYS: 'k' }).host).toBe('0.0.0.0');
  expect(['localhost', '::1', '127.0.0.2'].map((HOST) => complaintOf({ HOST }))).toEqual(['none', 'none', 'none']);
});

describe('the sample messages', () => {
  const urls = {
    ...{ SETTLE_RABBITMQ_URL: 'amqp://h', SETTLE_KAFKA_BROKERS: 'h:9092,i:9092' },
    ...{ SETTLE_ROCKETMQ_ENDPOINTS: 'h:8081', SETTLE_REDIS_URL: 'redis://h' },
  };
  const brokers = { rabbitmq: 'amqp://h', kafka: 'h:9092,i:9092', rocketmq: 'h:8081', redis: 'redis://h' };
  const types = Object.keys(loadConfig({}).routes);

  test.each(['rabbitmq', 'kafka', 'rocketmq', 'redis'])('all go over %s when it is chosen', (transport) => {
    const { routes } = loadConfig({ ...urls, SETTLE_TRANSPORT: transport });
    expect(Object.keys(routes)).toEqual(types);
    expect(routes).toMatchObject({
      'inventory.deduct': { transport, to: 'inventory' },
      'accounts.capture': { transport, to: 'accounts' },
      'preferences.create': { transport, to: 'profiles' },
    });
  });

  test('go over every broker when all are chosen, each saga over one or two', () => {
    const config = loadConfig({ ...urls, SETTLE_TRANSPORT: 'all' });
    expect(config.brokers).toEqual(brokers);
    expect(Object.keys(config.routes)).toEqual(types);
    expect(config.routes).toMatchObject({
      'inventory.deduct': { transport: 'rabbitmq', to: 'inventory' },
      'accounts.debit': { transport: 'rabbitmq', to: 'accounts' },
      'accounts.capture': { transport: 'kafka', to: 'accounts' },
      'profiles.create': { transport: 'rocketmq', to: 'profiles' },
      'preferences.create': { transport: 'redis', to: 'profiles' },
    });
  });
});

test('a task queue that no topic can be named after is refused where answers come over RocketMQ', () => {
  const env = { SETTLE_TASK_QUEUE: 'a.b', SETTLE_ROCKETMQ_ENDPOINTS: 'h:8081', SETTLE_TRANSPORT: 'rocketmq' };
  expect(complaintOf(env)).toMatch(/^SETTLE_TASK_QUEUE is 'a\.b': must be up to 100 letters/);
  expect(complaintOf({ SETTLE_TASK_QUEUE: 'a.b' })).toBe('none');
});

test('how long brokers keep messages counts only where a route goes over one', () => {
  const brokerMsOf = (env: Record<string, string>): number => loadConfig(env).windows.brokerMs;
  expect(brokerMsOf({})).toBe(0);
  expect(brokerMsOf({ SETTLE_BROKER_WINDOW: '2d' })).toBe(0);
  expect(brokerMsOf({ SETTLE_TRANSPORT: 'redis' })).toBe(3 * 86_400_000);
  expect(brokerMsOf({ SETTLE_TRANSPORT: 'redis', SETTLE_BROKER_WINDOW: '2d' })).toBe(2 * 86_400_000);
});

describe('routes', () => {
  const load = (content: string): Promise<{ routes?: object; line?: string }> =>
    withTempFolder((folder) => {
      const file = join(folder, 'routes');
      writeFileSync(file, content);
      const line = complaintOf({ SETTLE_ROUTES: file }).replace(file, 'FILE');
      return Promise.resolve(line === 'none' ? { routes: loadConfig({ SETTLE_ROUTES: file }).routes } : { line });
    });

  test('are read from JSON and from YAML alike', async () => {
    const routes = { 'a.b': { transport: 'http', url: 'http://h:1/x', timeoutMs: 500 } };
    expect(await load(JSON.stringify(routes))).toEqual({ routes });
    expect(await load('a.b:\n  url: http://h:1/x\n  timeoutMs: 500\n')).toEqual({ routes });
  });

  test('to brokers have their members', async () => {
    const broker = { to: 'books', maxBytes: 2_048, fireAndForget: true, ordered: true };
    const routes = {
      'a.rabbit': { ...broker, transport: 'rabbitmq', mode: 'binary' },
      'a.kafka': { ...broker, transport: 'kafka', mode: 'structured' },
      'a.rocket': { ...broker, transport: 'rocketmq', transactional: true },
      'a.redis': { ...broker, transport: 'redis' },
    };
    expect(await load(JSON.stringify(routes))).toEqual({ routes });
  });

  test.each([
    ['an unknown member', 'a.b: { url: "http://h", retries: 3 }', /'a\.b': Unrecognized key: "retries"/],
    ['an unknown transport', 'a.b: { url: "http://h", transport: pigeon }', /'a\.b\.transport'/],
    ['no address', 'a.b: {}', /'a\.b\.url'/],
    ['an address that is no URL', 'a.b: { url: nowhere }', /'a\.b\.url': must be an 'http:/],
    ['a timeout of nothing', 'a.b: { url: "http://h", timeoutMs: 0 }', /'a\.b\.timeoutMs'/],
    ['a URL where a queue is asked for', 'a.b: { transport: rabbitmq, url: "amqp://h" }', /'a\.b\.to'/],
    [
      'a topic that no RocketMQ takes',
      'a.b: { transport: rocketmq, to: a.b }',
      /'a\.b\.to': must be the name of a topic/,
    ],
    [
      'a binary mode that nobody defines',
      'a.b: { transport: redis, to: a, mode: binary }',
      /'a\.b\.mode': must be 'str/,
    ],
    ['RocketMQ’s half messages elsewhere', 'a.b: { transport: kafka, to: a, transactional: true }', /"transactional"/],
    ['a limit of nothing', 'a.b: { transport: kafka, to: a, maxBytes: 0 }', /'a\.b\.maxBytes'/],
    ['no entry', 'a.b:', /'a\.b'/],
    ['a list', '[1]', /must map message types to routes/],
    ['a file that is neither', '{ "a": ', /^SETTLE_ROUTES is 'FILE'/],
  ])('with %s are refused in one line', async (_, content, expected) => {
    const { line } = await load(content);
    expect(line).toMatch(expected);
    expect(line).not.toContain('\n');
  });
});

test('every setting has one line of description', () => {
  const names = SETTINGS.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
  expect(SETTINGS.filter(({ description }) => description === '' || description.includes('\n'))).toEqual([]);
});

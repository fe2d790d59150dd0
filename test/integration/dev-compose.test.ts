import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { parse } from 'yaml';
import { BROKER_NAMES } from '../../src/brokers/broker.js';
import { loadConfig, SETTINGS } from '../../src/config.js';

const ROOT = join(import.meta.dirname, '../..');
const SECRETS = { SETTLE_POSTGRES_PASSWORD: 'secret', SETTLE_API_KEYS: 'key:tenant' };

interface Service {
  readonly image: string;
  readonly command?: readonly string[];
  readonly profiles?: readonly string[];
  readonly environment?: Readonly<Record<string, string>>;
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly read_only?: boolean;
}

/** The file as Compose understands it; needs no Docker engine. */
async function resolveCompose(env: Record<string, string>): Promise<Record<string, Service>> {
  const { stdout } = await promisify(execFile)('docker-compose', ['config'], {
    cwd: ROOT,
    env: { PATH: process.env.PATH, ...env },
  });
  return (parse(stdout) as { services: Record<string, Service> }).services;
}

test('docker-compose accepts the file, and refuses it without its secrets', async () => {
  const services = await resolveCompose(SECRETS);
  expect(Object.keys(services)).toEqual(expect.arrayContaining(['api', 'worker', 'participants', 'migrate']));
  await expect(resolveCompose({})).rejects.toThrow('SETTLE_POSTGRES_PASSWORD');
});

test('nothing but the API and the Web UI can be reached, and only from the machine itself', async () => {
  const ports = Object.entries(await resolveCompose(SECRETS)).flatMap(([name, service]) =>
    (service.ports ?? []).map((port) => `${name} ${port}`),
  );
  expect(ports.sort()).toEqual(['api 127.0.0.1:3000:3000/tcp', 'temporal-ui 127.0.0.1:8080:8080/tcp']);
});

test('our processes get settings that exist and hold, and cannot write to their image', async () => {
  const services = Object.values(await resolveCompose(SECRETS)).filter(({ image }) => image === 'settle');
  expect(services.map(({ command }) => command?.[0]).sort()).toEqual(['api', 'migrate', 'participants', 'worker']);
  const names = new Set<string>(SETTINGS.map(({ name }) => name));
  for (const { environment = {}, read_only } of services) {
    expect([Object.keys(environment).filter((name) => !names.has(name)), read_only]).toEqual([[], true]);
    // the path of the routes is one inside the container
    expect(() => loadConfig({ ...environment, SETTLE_ROUTES: '' })).not.toThrow();
  }
});

test('the routes of the composition are valid and name the ports of its participants', () => {
  const file = join(ROOT, '.config/compose/routes.yml');
  const { routes } = loadConfig({ SETTLE_ROUTES: file });
  const samples = loadConfig({}).routes;
  const expected = Object.entries(samples).map(([type, route]) => [
    type,
    'url' in route && { ...route, url: route.url.replace('127.0.0.1', 'participants') },
  ]);
  expect(routes).toEqual(Object.fromEntries(expected));
});

test.each(BROKER_NAMES)('%s comes as a profile, and is what messages then go over', async (broker) => {
  const services = await resolveCompose({ ...SECRETS, SETTLE_TRANSPORT: broker, SETTLE_ROUTES: '' });
  expect(services[broker]!.profiles).toEqual([broker]);
  for (const name of ['worker', 'participants']) {
    const { routes, brokers } = loadConfig(services[name]!.environment);
    expect(new Set(Object.values(routes).map(({ transport }) => transport))).toEqual(new Set([broker]));
    expect(brokers[broker]).toMatch(new RegExp(`\\b${broker}:\\d+`));
  }
});

test('every image is of a named release', async () => {
  const images = Object.values(await resolveCompose(SECRETS)).map(({ image }) => image);
  expect(images.filter((image) => image !== 'settle' && !/:\d+(\.\d+)*$/.test(image))).toEqual([]);
  expect(readFileSync(join(ROOT, 'Dockerfile'), 'utf8')).toMatch(/^USER node$/m);
});

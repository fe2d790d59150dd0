import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BROKER_SETTINGS } from '../../../src/config.js';
import { findFreePorts } from '../../../src/dev/ports.js';
import type { Routes } from '../../../src/transports/transport.js';
import { eventually } from '../eventually.js';
import type { Arms } from '../faults/crash-points.js';
import { openRun, PARTICIPANT_PORTS, participantUrl, type Role, type Run } from '../faults/run.js';
import type { Supervised } from '../faults/supervisor.js';
import type { FaultFixture } from '../faults/fixture.js';
import { openOffice, type Office } from '../office.js';
import { openCopier, type Copier } from './copies.js';
import { contractRoutes, participantDestinations, replyDestination, type TransportName } from './routes.js';
import { startTestBroker, type TestBroker } from './test-broker.js';

/** One installation over one transport: its processes may end in whatever way, and the test may send what they send. */
export interface Scene {
  readonly run: Run;
  readonly office: Office;
  readonly copier: Copier;
  /** Starts a process; several of one role may run. */
  start(role: Role, arms?: Arms): Promise<Supervised>;
  /** Ends every process of a role as a deployment does, and fails when one does not end in order. */
  stop(role: Role): Promise<void>;
  /** Starts another process of a role, and ends those that ran before it in order, as a rolling deployment does. */
  replace(role: 'worker' | 'participants'): Promise<void>;
  /** SIGKILL to every process of a role. */
  kill(role: Role): Promise<void>;
  /** Makes the participants' destinations where only an administrator can. */
  prepare(): Promise<void>;
  /** `settle_replies_total` by verdict. */
  replies(): Promise<Readonly<Record<string, number>>>;
  /** `settle_inbox_messages_total` of a running participant, by outcome. */
  inbox(participant: 'inventory' | 'accounts'): Promise<Readonly<Record<string, number>>>;
  close(): Promise<void>;
}

/** A transport, with its broker where it has one. */
export interface Stand {
  readonly name: TransportName;
  readonly broker: TestBroker;
  /** @param suffix of its destinations; empty: as the sample routes name them */
  open(suffix: string, more?: { readonly notesUrl?: string }): Promise<Scene>;
}

/** Gives the tests of a `describe` a transport, from the first to the last of them. */
export function useStand(name: TransportName, faults: FaultFixture): Stand {
  let broker: TestBroker | undefined;
  const scenes: Scene[] = [];
  beforeAll(async () => {
    if (name !== 'http') broker = await startTestBroker(name);
  });
  afterAll(async () => {
    for (const scene of scenes) await scene.close();
    await broker?.remove();
  });
  return {
    name,
    get broker() {
      return broker!;
    },
    open: async (suffix, { notesUrl } = {}) => {
      const run = await openRun(faults.servers, faults.build);
      const routes = contractRoutes(run, { transport: name, suffix, notesUrl });
      await configure(run, { routes, broker });
      const scene = await openScene(run, { routes, suffix, broker });
      scenes.push(scene);
      return scene;
    },
  };
}

interface Going {
  readonly routes: Routes;
  readonly broker?: TestBroker;
}

/** Over HTTP orders go through the proxies of the run, as its own routes say. */
async function configure(run: Run, { routes, broker }: Going): Promise<void> {
  const file = join(run.env['SETTLE_DATA_DIR']!, 'contract-routes.json');
  await writeFile(file, JSON.stringify(routes));
  run.configure({ SETTLE_ROUTES: file, ...(broker && { [BROKER_SETTINGS[broker.name]]: broker.url }) });
  await broker?.prepare([replyDestination(run)]);
}

async function openScene(run: Run, going: Going & { readonly suffix: string }): Promise<Scene> {
  const { routes, broker, suffix } = going;
  const running: Supervised[] = [];
  const ofRole = (role: Role): Supervised[] => running.filter((each) => each.isRunning() && each.program.name === role);
  const start: Scene['start'] = async (role, arms) => {
    const process = await run.start(role, arms);
    running.push(process);
    // one that is armed is not waited for by the run, as it may die first; but its crash is, and not for long
    await eventually(() => expect(process.output().includes('"msg":"ready"') || !process.isRunning()).toBe(true), {
      timeoutMs: 180_000,
    });
    return process;
  };
  const stopAll = async (processes: readonly Supervised[]): Promise<void> => {
    await Promise.all(processes.map((each) => run.supervisor.stop(each)));
    const ends = await Promise.all(processes.map(({ ended }) => ended));
    expect(ends).toEqual(ends.map(() => ({ code: 0, signal: null })));
  };
  const copier = await openCopier({
    ...{ databaseUrl: run.env['DATABASE_URL']!, routes, taskQueue: run.env['SETTLE_TASK_QUEUE']! },
    brokers: broker ? { [broker.name]: broker.url } : {},
  });
  return {
    run,
    office: openOffice(run.apiUrl),
    copier,
    start,
    stop: (role) => stopAll(ofRole(role)),
    replace: async (role) => {
      const before = ofRole(role);
      if (role === 'participants') run.configure(await freePorts());
      await start(role);
      await stopAll(before);
    },
    kill: async (role) => void (await Promise.all(ofRole(role).map((each) => run.supervisor.kill(each)))),
    prepare: async () => broker?.prepare(participantDestinations(broker.name, suffix)),
    replies: () => countsOf(`${run.apiUrl}/metrics`, 'settle_replies_total', 'verdict'),
    inbox: (participant) =>
      countsOf(`${participantUrl(run, participant)}/metrics`, 'settle_inbox_messages_total', 'outcome'),
    close: async () => {
      await copier.close();
      await run.close();
    },
  };
}

/** Ports for participants beside those that listen already. */
async function freePorts(): Promise<Record<string, string>> {
  const first = await findFreePorts(3);
  return Object.fromEntries(
    Object.values(PARTICIPANT_PORTS).map(({ setting }, index) => [setting, `${first + index}`]),
  );
}

/** The values of a metric, added up by one of its labels. */
async function countsOf(url: string, metric: string, label: string): Promise<Record<string, number>> {
  const page = await eventually(async () => (await fetch(url)).text());
  const counts: Record<string, number> = {};
  for (const [, labels = '', value] of page.matchAll(new RegExp(`^${metric}\\{(.*)\\} (\\d+)$`, 'gm'))) {
    const word = new RegExp(`(?:^|,)${label}="([^"]*)"`).exec(labels)?.[1] ?? '';
    counts[word] = (counts[word] ?? 0) + Number(value);
  }
  return counts;
}

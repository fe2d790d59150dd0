import { setTimeout as pause } from 'node:timers/promises';
import type { FaultServers } from './fault-servers.js';
import type { ProxyFault } from './proxy.js';
import { createRandom, type Random } from './random.js';
import type { Run } from './run.js';
import { ROLES, type System } from './system.js';

/** One thing that goes wrong, for a while. */
export type Gust =
  | { readonly kind: 'kill' | 'freeze'; readonly role: (typeof ROLES)[number]; readonly ms: number }
  | { readonly kind: 'kill-server'; readonly server: 'postgres' | 'temporal'; readonly ms: number }
  | {
      readonly kind: 'network';
      readonly edge: 'inventory' | 'accounts';
      readonly fault: ProxyFault;
      readonly ms: number;
    };

const NETWORK: readonly ProxyFault[] = [
  { kind: 'one-way' },
  { kind: 'reset' },
  { kind: 'black-hole' },
  { kind: 'latency', ms: 300 },
  { kind: 'cut', bytes: 60 },
];

/** A schedule of faults: the same for the same seed. */
export function planStorm(seed: number, gusts: number): readonly Gust[] {
  const random = createRandom(seed);
  return Array.from({ length: gusts }, () => planGust(random));
}

function planGust(random: Random): Gust {
  const ms = random.between(200, 2_000);
  switch (random.pick(['kill', 'kill', 'freeze', 'network', 'network', 'kill-server'] as const)) {
    case 'kill':
      return { kind: 'kill', role: random.pick(ROLES), ms };
    case 'freeze':
      return { kind: 'freeze', role: random.pick(ROLES), ms };
    case 'kill-server':
      return { kind: 'kill-server', server: random.pick(['postgres', 'temporal'] as const), ms };
    case 'network':
      return {
        kind: 'network',
        edge: random.pick(['inventory', 'accounts'] as const),
        fault: random.pick(NETWORK),
        ms,
      };
  }
}

/** Lets a storm pass over a system: one gust after the other, each healed before the next. */
export async function blow(
  { run, system, servers }: { run: Run; system: System; servers: FaultServers },
  gusts: readonly Gust[],
): Promise<void> {
  for (const gust of gusts) {
    switch (gust.kind) {
      case 'kill':
        await system.kill(gust.role);
        await pause(gust.ms);
        await system.replace(gust.role);
        break;
      case 'freeze':
        await run.supervisor.freeze(system.get(gust.role), gust.ms);
        break;
      case 'kill-server':
        await system.killServer(gust.server);
        await pause(gust.ms);
        await servers[gust.server].restart();
        break;
      case 'network':
        run.edges[gust.edge].set(gust.fault);
        await pause(gust.ms);
        run.edges[gust.edge].set({ kind: 'pass' });
    }
  }
}

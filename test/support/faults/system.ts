import { isAlive } from '../../../src/dev/child.js';
import type { FaultServers } from './fault-servers.js';
import type { Role, Run } from './run.js';
import type { Supervised } from './supervisor.js';

/** The processes of a system in production's shape, each apart from the others. */
export const ROLES = ['participants', 'worker', 'api'] as const satisfies readonly Role[];

/** A system whose processes can be killed and replaced one by one. */
export interface System {
  get(role: Role): Supervised;
  /** Ends a process, if it still runs, and starts another in its place. */
  replace(role: Role): Promise<void>;
  /** SIGKILL to a process. */
  kill(role: Role): Promise<void>;
  /** SIGKILL to a server; its end is the proof. */
  killServer(name: 'postgres' | 'temporal'): Promise<void>;
}

/** Starts one process for each role. */
export async function startSystem(run: Run, servers: FaultServers): Promise<System> {
  const running = new Map<Role, Supervised>();
  const replace = async (role: Role): Promise<void> => {
    const old = running.get(role);
    if (old) await run.supervisor.stop(old);
    running.set(role, await run.start(role));
  };
  await Promise.all(ROLES.map(replace));
  return {
    replace,
    get: (role) => running.get(role)!,
    kill: (role) => run.supervisor.kill(running.get(role)!),
    killServer: async (name) => {
      const { pid } = servers[name];
      await servers[name].kill();
      run.supervisor.note(`kill ${name}`, isAlive(pid) ? undefined : `pid ${pid} is gone`);
    },
  };
}

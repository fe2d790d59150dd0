import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { FarAnswer, FarRequest, FarSideOptions } from './far-side.js';

/** The far side, as its parent sees it. */
export interface Far {
  /** Of the participant. */
  readonly url: string;
  /** Of the yardstick, where the transport is HTTP. */
  readonly bareUrl: string;
  /** Resolves once the one-way yardstick has received so many in all. */
  received(count: number): Promise<void>;
  /** When what was applied since the last call had been committed there: effect key → ms since the epoch. */
  times(): Promise<Readonly<Record<string, number>>>;
  stop(): Promise<void>;
}

/** Starts it. @throws Error when it ends instead */
export async function startFar(options: FarSideOptions): Promise<Far> {
  // with this process's own flags, so that `--cpu-prof` shows both sides
  const child = fork(join(import.meta.dirname, 'far-side.ts'), [JSON.stringify(options)]);
  const ended = once(child, 'exit');
  const next = async (): Promise<FarAnswer> => {
    const answer = once(child, 'message') as Promise<[FarAnswer]>;
    const gone = ended.then(() => Promise.reject(new Error('the far side of the benchmark has ended; see above')));
    gone.catch(() => undefined);
    return (await Promise.race([answer, gone]))[0];
  };
  const ask = async (request: FarRequest): Promise<FarAnswer> => {
    const answer = next();
    child.send(request);
    return answer;
  };
  const answer = await next();
  const [url = '', bareUrl = ''] = 'ready' in answer ? answer.ready.split(' ') : [];
  return {
    ...{ url, bareUrl },
    received: async (until) => void (await ask({ until })),
    times: async () => {
      const given = await ask({ times: true });
      return 'times' in given ? given.times : {};
    },
    stop: async () => {
      child.disconnect();
      await ended;
    },
  };
}

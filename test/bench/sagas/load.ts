import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Run, Shape } from './generator.js';
import type { LoadAnswer, LoadRequest } from './load-main.js';
import type { Behaviour, ParticipantBooks } from './participants.js';

/** The load and the participants, as their parent sees them. */
export interface Load {
  readonly pid: number;
  /** Of the participants. */
  readonly url: string;
  /** Begins to send to another API. */
  open(url: string): Promise<void>;
  /** Resolves when the last order that it sends has been accepted. */
  run(shape: Shape): Promise<Run>;
  halt(): Promise<void>;
  behave(behaviour: Behaviour): Promise<void>;
  /** The participants' books since the last call. */
  takeBooks(): Promise<ParticipantBooks>;
  /** Says that orders have settled, where the participants are not ours. */
  noteSettled(orderIds: readonly string[]): Promise<void>;
  /** Gives up the connections to the API. */
  close(): Promise<void>;
  stop(): Promise<void>;
}

type Ask = LoadRequest extends infer Each ? (Each extends LoadRequest ? Omit<Each, 'number'> : never) : never;

/** Starts it. @throws Error when it ends instead */
export async function startLoad(): Promise<Load> {
  const hooks = join(import.meta.dirname, '../../support/typescript.js');
  const child = fork(join(import.meta.dirname, 'load-main.ts'), { execArgv: ['--import', hooks] });
  const waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  const answerTo = (number: number): Promise<unknown> =>
    new Promise((resolve, reject) => waiting.set(number, { resolve, reject }));
  child.on('message', (message: LoadAnswer) => {
    const waiter = waiting.get(message.number);
    waiting.delete(message.number);
    if ('error' in message) waiter?.reject(new Error(message.error));
    else waiter?.resolve(message.value);
  });
  const ended = once(child, 'exit').then(() => {
    for (const { reject } of waiting.values()) reject(new Error('the load of the benchmark has ended; see above'));
  });
  let number = 0;
  const ask = (request: Ask): Promise<unknown> => {
    const answer = answerTo(++number);
    child.send({ ...request, number });
    return answer;
  };
  const url = (await answerTo(0)) as string;
  return {
    ...{ pid: child.pid!, url },
    open: async (api) => void (await ask({ ask: 'open', url: api })),
    run: async (shape) => (await ask({ ask: 'run', shape })) as Run,
    halt: async () => void (await ask({ ask: 'halt' })),
    behave: async (behaviour) => void (await ask({ ask: 'behave', behaviour })),
    takeBooks: async () => (await ask({ ask: 'books' })) as ParticipantBooks,
    noteSettled: async (orderIds) => void (await ask({ ask: 'settled', orderIds })),
    close: async () => void (await ask({ ask: 'close' })),
    stop: async () => {
      if (child.connected) child.disconnect();
      await ended;
    },
  };
}

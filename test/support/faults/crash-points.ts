import type { ExpressLedger } from '../../../activities/express-lane.js';
import type { AheadLedger } from '../../../activities/ahead-run.js';
import type { ActivityDependencies, SagaActivities } from '../../../activities/saga-activities.js';
import type { SagaStarter } from '../../../src/api/saga-starter.js';
import type { Ledger } from '../../../src/api/ledger.js';
import type { Inbox } from '../../../src/participant/inbox.js';
import type { Participant } from '../../../src/participant/participant.js';
import type { Wrap } from '../../../src/saga/wrap.js';
import type { Router } from '../../../src/transports/router.js';

// Crash points without a line of test code in production: the ports of each role pass through `wrap` once, and here they
// fail on purpose.

/** Every point, by the role in which it lies. */
export const CRASH_POINTS = {
  api: ['api-before-insert', 'api-after-insert', 'api-after-start'],
  worker: [
    'local-before-commit',
    'local-after-commit',
    'dispatch-before-claim',
    'dispatch-before-send',
    'dispatch-after-answer',
    'between-steps',
    'compensation-before-decision',
    'compensation-after-decision',
    'undo-before-send',
    'undo-after-answer',
    'undo-local-after-commit',
    'settle-before',
    'settle-after',
  ],
  participants: ['inbox-before-commit', 'participant-before-answer'],
} as const;

/** Those that a saga of the express lane passes in the process that accepts it; some are the worker's in the other lane. */
export const EXPRESS_CRASH_POINTS = [
  'local-before-commit',
  'express-before-accept',
  'express-after-accept',
  'dispatch-before-send',
  'dispatch-after-answer',
  'express-before-settle',
  'express-after-settle',
  'express-before-hand-over',
  'express-after-hand-over',
] as const;

/** The name of a point. */
export type CrashPoint =
  (typeof CRASH_POINTS)[keyof typeof CRASH_POINTS][number] | (typeof EXPRESS_CRASH_POINTS)[number];

/** What a process is armed with: comma-separated `name[@step][:nth[:ms]]`, where `told` for `ms` is until it gets the signal SIGUSR2. */
export interface Arms {
  /** Kills the process with SIGKILL at the nth passage. */
  readonly CRASH?: string;
  /** Holds the nth passage for `ms`. */
  readonly STALL?: string;
  /** Throws at the nth passage and at every later one. */
  readonly FAIL?: string;
}

type Pass = (name: CrashPoint, step?: string) => Promise<void>;
/** Counts a passage at once, before anything is awaited; returns what it brings about. */
type Trigger = (name: CrashPoint, step?: string) => () => Promise<unknown>;

/** A wrap for the composition functions, which fails as armed. */
export function armedWrap(arms: Arms): Wrap {
  const triggers = (['CRASH', 'STALL', 'FAIL'] as const).flatMap((kind) => parse(kind, arms[kind]));
  const pass: Pass = async (name, step) => {
    for (const act of triggers.map((trigger) => trigger(name, step))) await act();
  };
  const starters: SagaStarter[] = [];
  const wrappers: Readonly<Record<string, (port: never) => object>> = {
    ledger: (port: Ledger) => wrapLedger(port, pass, starters),
    starter: (port: SagaStarter) => {
      starters.push(port);
      return port;
    },
    localWorks: (port: ActivityDependencies['localWorks']) => wrapLocalWorks(port, pass),
    router: (port: Router) => wrapRouter(port, pass),
    expressLedger: (port: ExpressLedger) => wrapExpress(port, pass),
    aheadLedger: (port: AheadLedger) => wrapAhead(port, pass),
    activities: (port: SagaActivities) => wrapActivities(port, pass),
    inbox: (port: Inbox) => wrapInbox(port, pass),
    participant: (port: Participant) => wrapParticipant(port, pass),
  };
  return <T extends object>(name: string, port: T): T => (wrappers[name]?.(port as never) ?? port) as T;
}

interface Passage {
  readonly count: number;
  readonly nth: number;
  /** NaN: until it is told. */
  readonly ms: number;
  readonly point: string;
}

/** Resolves once this process has been told to go on; without a listener the signal would end it. */
const told = new Promise<void>((resolve) => process.once('SIGUSR2', () => resolve()));

const ACTIONS: Readonly<Record<keyof Arms, (passage: Passage) => Promise<unknown>>> = {
  CRASH: async ({ count, nth }) => {
    if (count !== nth) return;
    // SIGKILL to oneself: nothing after it runs, no handler, no flush
    process.kill(process.pid, 'SIGKILL');
    await new Promise(() => undefined);
  },
  STALL: async ({ count, nth, ms }) => {
    if (count === nth) await (Number.isNaN(ms) ? told : new Promise((resolve) => setTimeout(resolve, ms)));
  },
  FAIL: async ({ count, nth, point }) => {
    if (count >= nth) throw new Error(`fails on purpose at '${point}'`);
    return Promise.resolve();
  },
};

function parse(kind: keyof Arms, specs = ''): Trigger[] {
  const known: readonly string[] = [...Object.values(CRASH_POINTS).flat(), ...EXPRESS_CRASH_POINTS];
  return specs
    .split(',')
    .filter((spec) => spec !== '')
    .map((spec) => {
      const [point = '', nth = '1', ms = '0'] = spec.split(':');
      const [wanted = '', wantedStep] = point.split('@');
      if (!known.includes(wanted)) throw new Error(`there is no crash point '${wanted}'`);
      let count = 0;
      return (name, step) => {
        if (name !== wanted || (wantedStep !== undefined && step !== wantedStep)) return () => Promise.resolve();
        count += 1;
        const passage = { count, nth: Number(nth), ms: Number(ms), point };
        return () => ACTIONS[kind](passage);
      };
    });
}

function wrapLedger(port: Ledger, pass: Pass, starters: readonly SagaStarter[]): Ledger {
  return {
    ...port,
    acceptSaga: async (saga) => {
      await pass('api-before-insert');
      const accepted = await port.acceptSaga(saga);
      await pass('api-after-insert');
      // the API starts workflows without waiting; here the start must be known to have happened
      if (!accepted.replayed) await starters[0]?.ensureRunning(accepted, () => Promise.resolve(true));
      await pass('api-after-start');
      return accepted;
    },
  };
}

function wrapExpress(port: ExpressLedger, pass: Pass): ExpressLedger {
  const passing =
    <Given, Answer>(name: 'accept' | 'settle' | 'hand-over', work: (given: Given) => Promise<Answer>) =>
    async (given: Given): Promise<Answer> => {
      await pass(`express-before-${name}`);
      const answer = await work(given);
      await pass(`express-after-${name}`);
      return answer;
    };
  return {
    ...port,
    accept: passing('accept', port.accept),
    settle: passing('settle', port.settle),
    handOver: passing('hand-over', port.handOver),
  };
}

function wrapLocalWorks(port: ActivityDependencies['localWorks'], pass: Pass): ActivityDependencies['localWorks'] {
  return new Map(
    [...port].map(([name, work]) => [
      name,
      async (tx, context) => {
        const result = await work(tx, context);
        await pass('local-before-commit');
        return result;
      },
    ]),
  );
}

function wrapRouter(port: Router, pass: Pass): Router {
  return {
    ...port,
    send: async (envelope, timeoutMs, options) => {
      const [, step, action] = envelope.effectKey.split('/');
      await pass(action === 'do' ? 'dispatch-before-send' : 'undo-before-send', step);
      const outcome = await port.send(envelope, timeoutMs, options);
      await pass(action === 'do' ? 'dispatch-after-answer' : 'undo-after-answer', step);
      return outcome;
    },
  };
}

/** The same points as those of the single steps: most sagas pass them here. */
function wrapAhead(port: AheadLedger, pass: Pass): AheadLedger {
  return {
    applyLocal: async (local) => {
      const applied = await port.applyLocal(local);
      await pass('local-after-commit', local.effect.step);
      return applied;
    },
    advance: async (move) => {
      for (const { step } of move.begins) await pass('dispatch-before-claim', step);
      const begun = await port.advance(move);
      for (const { step } of move.answers) await pass('between-steps', step);
      return begun;
    },
    complete: async (done) => {
      for (const { step } of done.answers) await pass('between-steps', step);
      await pass('settle-before');
      const hasCompleted = await port.complete(done);
      await pass('settle-after');
      return hasCompleted;
    },
  };
}

function wrapActivities(port: SagaActivities, pass: Pass): SagaActivities {
  return {
    ...port,
    runLocal: async (args) => {
      const result = await port.runLocal(args);
      await pass(args.effect.action === 'do' ? 'local-after-commit' : 'undo-local-after-commit', args.effect.step);
      return result;
    },
    dispatch: async (args) => {
      const isDo = args.effect.action === 'do';
      if (isDo) await pass('dispatch-before-claim', args.effect.step);
      const result = await port.dispatch(args);
      if (isDo) await pass('between-steps', args.effect.step);
      return result;
    },
    recordState: async (change) => {
      if (change.state === 'compensating') await pass('compensation-before-decision');
      const reason = await port.recordState(change);
      if (change.state === 'compensating') await pass('compensation-after-decision');
      return reason;
    },
    settle: async (end) => {
      await pass('settle-before');
      await port.settle(end);
      await pass('settle-after');
    },
  };
}

function wrapInbox(port: Inbox, pass: Pass): Inbox {
  return {
    ...port,
    apply: async (tx, message, work) => {
      const answer = await port.apply(tx, message, work);
      await pass('inbox-before-commit', message.effect.step);
      return answer;
    },
  };
}

function wrapParticipant(port: Participant, pass: Pass): Participant {
  return {
    ...port,
    deliver: async (message) => {
      const answer = await port.deliver(message);
      await pass('participant-before-answer', message.effect.step);
      return answer;
    },
  };
}

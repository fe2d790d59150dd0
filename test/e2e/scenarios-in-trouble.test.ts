import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { eventually } from '../support/eventually.js';
import type { OfficeAnswer } from '../support/office.js';
import { entriesOf, EVERYTHING, NOTHING, PAID, tracesOf } from '../support/town-books.js';
import { useTown } from '../support/town.js';

// The faults of orders are in test/faults; here every process of a system that pays and registers is killed, on both lanes: a pivot, steps
// side by side and one that cannot be taken back meet a death each.

/** A saga that is asked for, and how it is to end. */
interface Asked {
  readonly ask: (key: string) => Promise<OfficeAnswer>;
  readonly state: 'completed' | 'compensated';
  /** Looks at what it has left behind. */
  readonly look: (sagaId: string) => Promise<object>;
  readonly leaves: object;
}

/** Each asks for one after the other until the last kill is over. */
const CLIENTS = 3;
const PAUSE_MS = 400;
const KILLED = ['worker', 'participants', 'api', 'participants', 'worker'] as const;

describe.each(['workflow', 'express'] as const)('on the %s lane', (lane) => {
  const town = useTown(`trouble-${lane}`, lane);

  const payment = (n: number): Asked => {
    const isRefused = n % 4 === 3;
    const change = { invoiceId: `i-${100 + n}`, ...(isRefused && { accountId: 'c-closed' }) };
    return {
      ask: (key) => town.office.pay(change, { key }),
      state: isRefused ? 'compensated' : 'completed',
      look: (sagaId) => entriesOf(town, sagaId),
      leaves: isRefused ? [] : PAID,
    };
  };
  const registration = (n: number): Asked => {
    const isRefused = n % 4 === 3;
    const user = { userName: `user-${n}`, email: isRefused ? 'taken@example.org' : `user-${n}@example.org` };
    return {
      ask: (key) => town.office.register(user, { key }),
      state: isRefused ? 'compensated' : 'completed',
      look: (sagaId) => tracesOf(town, sagaId),
      leaves: isRefused ? NOTHING : EVERYTHING,
    };
  };

  /** Asks under one key until it is accepted: nobody may be there, or have answered. */
  const insist = async ({ ask }: Asked): Promise<string> => {
    const key = randomUUID();
    for (;;) {
      const answer = await ask(key).catch(() => undefined);
      if (answer?.status === 202) return answer.body.sagaId;
      if (answer && answer.status < 500) throw new Error(`it was answered with HTTP ${answer.status}`);
      await pause(50);
    }
  };
  test('promise 1: kill -9 of every process, again and again, leaves each payment and registration done or undone, once', async () => {
    await town.office.registered({ userName: 'first', email: 'taken@example.org' });
    const asked = new Map<Asked, string>();
    let [count, isOver] = [0, false];
    const client = async (): Promise<void> => {
      while (!isOver) {
        const n = count++;
        const each = n % 2 === 0 ? payment(n >> 1) : registration(n >> 1);
        asked.set(each, await insist(each));
        await pause(PAUSE_MS);
      }
    };
    const clients = Promise.all(Array.from({ length: CLIENTS }, client));
    // their failure is this test's, whenever it comes
    clients.catch(() => undefined);
    try {
      for (const role of KILLED) {
        const seen = asked.size;
        await eventually(() => expect(asked.size).toBeGreaterThan(seen + CLIENTS));
        await town.kill(role);
        await town.start(role);
      }
    } finally {
      isOver = true;
    }
    await clients;
    for (const [{ state, look, leaves }, sagaId] of asked) {
      const saga = await town.office.settled(sagaId);
      expect([sagaId, saga.state, await look(sagaId)]).toEqual([sagaId, state, leaves]);
    }
    const paid = [...asked.keys()].filter(({ leaves }) => leaves === PAID).length;
    expect(await town.query('producer', PAYMENTS)).toEqual([{ invoices: paid, payments: paid }]);
    expect(await town.query('producer', USED)).toEqual([{ express: lane === 'express' }]);
  });
});

const PAYMENTS = `select (select count(*)::int from billing.invoice where status = 'paid') as invoices,
                         (select count(*)::int from billing.payment where status = 'paid') as payments`;
/** Whether a saga has completed without a workflow. */
const USED = `select count(*) > 0 as express from settle.saga where state = 'completed' and leased_until is not null`;

import type { Effect, Evidence, InboxRow, OrderRow, SagaRow, Violation } from './evidence.js';
import { groupBy, violation } from './grouping.js';

/** What one effect did, over all rows that it wrote. */
interface Applied {
  readonly times: number;
  readonly firstAt: number;
  readonly lastAt: number;
}

const NEVER: Applied = { times: 0, firstAt: Infinity, lastAt: -Infinity };

/** The effects of one saga, by `<step>/<action>`. */
interface SagaEffects {
  readonly saga: SagaRow;
  readonly rows: readonly Effect[];
  of(step: string, action: 'do' | 'undo'): Applied;
}

/** I6 to I11: what the participants did, from their own journals. */
export function checkEffects(evidence: Evidence): Violation[] {
  const effects = groupBy(evidence.effects, ({ sagaId }) => sagaId);
  const inbox = groupBy(evidence.inbox, ({ sagaId }) => sagaId);
  const known = new Set(evidence.ledger.sagas.map(({ id }) => id));
  const ghosts = [...effects.keys()].filter((id) => !known.has(id));
  return [
    ...ghosts.map((id) =>
      violation('I6', 'an effect of a saga that the ledger does not know', { ids: [id], rows: effects.get(id) }),
    ),
    ...evidence.ledger.sagas.flatMap((saga) => {
      const its = effectsOf(saga, effects.get(saga.id) ?? []);
      return [
        ...exactlyOnce(its),
        ...nothingAfterUndo(its, inbox.get(saga.id) ?? []),
        ...undoneInReverse(its),
        ...undoneForCause(its, evidence),
        ...amountsAgree(its, evidence),
      ];
    }),
    ...startedAfterDecision(evidence),
    ...booksBalance(evidence),
  ];
}

function effectsOf(saga: SagaRow, rows: readonly Effect[]): SagaEffects {
  const byEffect = groupBy(rows, ({ step, action }) => `${step}/${action}`);
  return {
    saga,
    rows,
    of: (step, action) => {
      const written = byEffect.get(`${step}/${action}`);
      if (!written) return NEVER;
      const perSubject = [...groupBy(written, ({ subject }) => subject).values()].map(({ length }) => length);
      const times = Math.max(new Set(written.map(({ txid }) => txid)).size, ...perSubject);
      const ats = written.map(({ at }) => at);
      return { times, firstAt: Math.min(...ats), lastAt: Math.max(...ats) };
    },
  };
}

function exactlyOnce({ saga, rows, of }: SagaEffects): Violation[] {
  const found = (problem: string): Violation => violation('I6', problem, { ids: [saga.id], rows: [saga, ...rows] });
  return saga.plan.flat().flatMap(({ name }) => {
    const done = of(name, 'do').times;
    const undone = of(name, 'undo').times;
    if (done > 1) return [found(`'${name}/do' was applied ${done} times`)];
    if (undone > 1) return [found(`'${name}/undo' was applied ${undone} times`)];
    if (saga.state === 'completed' && (done !== 1 || undone !== 0)) {
      return [found(`completed, but '${name}' was done ${done} times and undone ${undone} times`)];
    }
    if (saga.state === 'compensated' && done !== undone) {
      return [found(`compensated, but '${name}' was done ${done} times and undone ${undone} times`)];
    }
    return [];
  });
}

/** An undo is in E, or, where there was nothing to undo, in the inbox alone: no `do` comes after either. */
function nothingAfterUndo({ saga, rows, of }: SagaEffects, inbox: readonly InboxRow[]): Violation[] {
  return saga.plan.flat().flatMap(({ name }) => {
    const undos = inbox.filter(({ step, action }) => step === name && action === 'undo');
    const undo = of(name, 'undo');
    // its row in the inbox is older than what it has waited for: a `do` that was under way when it came
    const undoneAt = undo.times > 0 ? undo.firstAt : Math.min(Infinity, ...undos.map(({ at }) => at));
    if (of(name, 'do').lastAt <= undoneAt) return [];
    return [violation('I7', `'${name}/do' was applied after its undo`, { ids: [saga.id], rows: [...rows, ...undos] })];
  });
}

/** A step is undone only when every step of the groups after it has been. */
function undoneInReverse({ saga, rows, of }: SagaEffects): Violation[] {
  return saga.plan.flatMap((group, index) => {
    const first = Math.min(...group.map(({ name }) => of(name, 'undo').firstAt));
    const later = saga.plan.slice(index + 1).flat();
    const early = later.filter(({ name }) => of(name, 'undo').lastAt > first);
    return early.map(({ name }) =>
      violation('I8', `'${name}' was undone after a step before it`, { ids: [saga.id], rows }),
    );
  });
}

function undoneForCause({ saga, rows, of }: SagaEffects, { ledger }: Evidence): Violation[] {
  const first = Math.min(...saga.plan.flat().map(({ name }) => of(name, 'undo').firstAt));
  if (first === Infinity) return [];
  const decision = ledger.events.find(({ sagaId, state }) => sagaId === saga.id && state === 'compensating');
  if (decision && decision.at <= first && saga.reason) return [];
  return [violation('I9', 'undone without a recorded cause before it', { ids: [saga.id], rows: [saga, ...rows] })];
}

/** No `do` is begun once the decision to compensate is recorded. */
function startedAfterDecision({ ledger }: Evidence): Violation[] {
  const decided = new Map(
    ledger.events
      .filter(({ state }) => state === 'compensating')
      .toReversed()
      .map(({ sagaId, at }) => [sagaId, at]),
  );
  const isLate = (sagaId: string, at: number | null): boolean => at !== null && at > (decided.get(sagaId) ?? Infinity);
  const sent = ledger.messages.filter(
    ({ action, sagaId, firstSentAt }) => action === 'do' && isLate(sagaId, firstSentAt),
  );
  const local = ledger.stepEffects.filter(
    ({ action, status, sagaId, at }) => action === 'do' && status === 'applied' && isLate(sagaId, at),
  );
  return [...sent, ...local].map((row) =>
    violation('I8', `'${row.step}/do' was begun after the decision to compensate`, { ids: [row.sagaId], rows: [row] }),
  );
}

/** Money and stock per saga: nothing is left of a compensated one, all of it is taken for a completed one. */
function amountsAgree({ saga, rows }: SagaEffects, { ledger }: Evidence): Violation[] {
  const sum = (kept: (row: Effect) => boolean): number =>
    rows.filter(kept).reduce((total, { amount }) => total + amount, 0);
  const money = sum(({ service, subject }) => service === 'accounts' && subject === saga.input['customerId']);
  const stock = sum(({ service }) => service === 'inventory');
  const drift = sum(({ service }) => service === 'accounts');
  const wrong = (invariant: string, problem: string): Violation =>
    violation(invariant, problem, { ids: [saga.id], rows: [saga, ...rows] });
  const found = drift === 0 ? [] : [wrong('I10', `its entries add up to ${drift}`)];
  const owed = saga.state === 'completed' ? takenBy(saga, ledger.orders) : { money: 0, stock: 0 };
  if (saga.state !== 'completed' && saga.state !== 'compensated') return found;
  if (money !== -owed.money) found.push(wrong('I10', `'${saga.state}' owes ${owed.money}, but ${-money} was taken`));
  if (stock !== -owed.stock) found.push(wrong('I11', `'${saga.state}' owes ${owed.stock}, but ${-stock} was taken`));
  return found;
}

function takenBy({ id, input }: SagaRow, orders: readonly OrderRow[]): { money: number; stock: number } {
  const items = (input['items'] ?? []) as readonly { readonly quantity: number }[];
  const money = orders.find(({ sagaId }) => sagaId === id)?.total ?? Number.NaN;
  return { money, stock: items.reduce((total, { quantity }) => total + quantity, 0) };
}

function booksBalance({ books }: Evidence): Violation[] {
  const wrong = books.rows.filter(({ opening, moved, actual }) => opening + moved !== actual || actual < 0);
  const atEnd = wrong.map((row) =>
    violation(
      row.service === 'accounts' ? 'I10' : 'I11',
      `'${row.subject}' holds ${row.actual}, not ${row.opening + row.moved}`,
      {
        ids: [row.subject],
        rows: [row],
      },
    ),
  );
  const live = books.live.map((found) => violation(found.invariant, found.detail, { ids: [], rows: [found] }));
  return [...atEnd, ...live];
}

import { EventEmitter } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** How the participants behave. */
export interface Behaviour {
  /** Part of the answers that are 503: half of them after the effect, half instead of it. */
  readonly unavailable: number;
  /** Part of the `do` messages that are refused for good, by their effect keys. */
  readonly refused: number;
}

/** What one participant did for one order. */
export interface Effects {
  applied: number;
  undone: number;
  refused: number;
}

/** The books of one order. */
export interface OrderEffects {
  readonly stock: Effects;
  readonly payment: Effects;
}

/** Both participants' books. */
export interface ParticipantBooks {
  readonly orders: Readonly<Record<string, OrderEffects>>;
  /** Messages that came again after they had been answered for good. */
  readonly duplicates: number;
  readonly unavailable: number;
}

/** Inventory and accounts, in this process's memory. */
export interface Participants {
  readonly url: string;
  /** Emits the id of each order that the participants have done with, as `settled`. */
  readonly events: EventEmitter;
  behave(behaviour: Behaviour): void;
  /** The books since the last call. */
  takeBooks(): ParticipantBooks;
  close(): void;
}

/** By message type, which ends the path `/messages/<type>`: whose it is, and its good answer. */
const TYPES: Readonly<
  Record<string, { readonly of: keyof OrderEffects; readonly isUndo: boolean; readonly body: string }>
> = {
  'inventory.deduct': { of: 'stock', isUndo: false, body: '{"reservationId":"r-1"}' },
  'inventory.release': { of: 'stock', isUndo: true, body: '{"released":1}' },
  'accounts.debit': { of: 'payment', isUndo: false, body: '{"entryId":"e-1","balance":1}' },
  'accounts.refund': { of: 'payment', isUndo: true, body: '{"refunded":1}' },
};

interface Answer {
  readonly status: number;
  readonly body: string;
}

const UNAVAILABLE: Answer = { status: 503, body: '{}' };

interface Message {
  readonly type: string;
  readonly key: string;
  readonly body: string;
}

interface State {
  behaviour: Behaviour;
  readonly answers: Map<string, Answer>;
  orders: Map<string, OrderEffects>;
  duplicates: number;
  unavailable: number;
}

/** Starts both on one free port. They work as little as a participant can that applies each effect once. */
export async function startParticipants(): Promise<Participants> {
  const events = new EventEmitter();
  const state: State = {
    ...{ behaviour: { unavailable: 0, refused: 0 }, answers: new Map(), orders: new Map() },
    ...{ duplicates: 0, unavailable: 0 },
  };
  const server = createServer((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
    request.on('end', () => {
      const type = (request.url ?? '').slice('/messages/'.length);
      const answer = deliver(state, { type, key: request.headers['idempotency-key'] as string, body }, events);
      response.writeHead(answer.status, { 'content-type': 'application/json' }).end(answer.body);
    });
  });
  server.keepAliveTimeout = 60_000;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    ...{ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, events },
    behave: (behaviour) => void (state.behaviour = behaviour),
    takeBooks: () => takeBooks(state),
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}

function takeBooks(state: State): ParticipantBooks {
  const { orders, duplicates, unavailable } = state;
  Object.assign(state, { orders: new Map(), duplicates: 0, unavailable: 0 });
  state.answers.clear();
  return { orders: Object.fromEntries(orders), duplicates, unavailable };
}

function deliver(state: State, message: Message, events: EventEmitter): Answer {
  const { behaviour } = state;
  const isAway = Math.random() < behaviour.unavailable;
  if (isAway) state.unavailable++;
  if (isAway && Math.random() < 0.5) return UNAVAILABLE;
  const orderId = /"orderId":\s*"([^"]+)"/.exec(message.body)?.[1] ?? '';
  const answer = apply(state, message, orderId);
  if (isAway) return UNAVAILABLE;
  if (isDone(state.orders.get(orderId))) events.emit('settled', orderId);
  return answer;
}

/** As an inbox does: a duplicate gets the stored answer, and an undo keeps a late `do` out. */
function apply(state: State, { type, key }: Message, orderId: string): Answer {
  const known = state.answers.get(key);
  if (known) {
    state.duplicates++;
    return known;
  }
  const kind = TYPES[type];
  if (!kind) return { status: 404, body: '{}' };
  const order = state.orders.get(orderId) ?? { stock: noEffects(), payment: noEffects() };
  state.orders.set(orderId, order);
  const effects = order[kind.of];
  const answer = kind.isUndo ? { status: 200, body: kind.body } : answerTo(state, key, kind.body);
  state.answers.set(key, answer);
  if (!kind.isUndo && answer.status === 200) effects.applied++;
  if (!kind.isUndo && answer.status !== 200) effects.refused++;
  if (kind.isUndo) undo(state, key, effects);
  return answer;
}

function answerTo({ behaviour }: State, key: string, body: string): Answer {
  if (hashOf(key) % 1_000 >= behaviour.refused * 1_000) return { status: 200, body };
  return { status: 409, body: '{"code":"refused","detail":"as every so many"}' };
}

function undo({ answers }: State, key: string, effects: Effects): void {
  const doKey = key.replace(/undo$/, 'do');
  if (answers.get(doKey)?.status === 200) effects.undone++;
  else answers.set(doKey, { status: 409, body: '{"code":"undone","detail":"its undo came first"}' });
}

/** Both effects applied; or one was refused, and what was applied is undone. */
function isDone(order: OrderEffects | undefined): boolean {
  if (!order) return false;
  const all = [order.stock, order.payment];
  if (all.some(({ refused }) => refused > 0)) return all.every(({ applied, undone }) => applied === undone);
  return all.every(({ applied }) => applied > 0);
}

function noEffects(): Effects {
  return { applied: 0, undone: 0, refused: 0 };
}

/** FNV-1a. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 0x01000193) >>> 0;
  return hash;
}

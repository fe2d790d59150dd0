import { randomUUID } from 'node:crypto';
import { APPROVAL, acceptApproved } from './awaited-events.js';
import { GOOD_ORDER, type TestApi } from './api.js';
import { ask, parkMessage } from './parked-messages.js';
import { parkedSagas } from './parked-sagas.js';
import { send, type RawAnswer } from './raw-http.js';

const REGISTRATION = { userName: 'ann', email: 'ann@shop.example' };
const { customerId: _, ...FIRST_ORDER } = { ...GOOD_ORDER, registration: REGISTRATION };
const REPAIR = { query: { reason: 'soon' }, action: 'resend', actor: 'ann', reason: 'they are back', perSecond: 5 };
const BY_ANN = { actor: 'ann', reason: 'looked into it' };

/** A request that is accepted as it stands; `{names}` in it stand for what {@link makeSubjects} has made. */
export interface SoundRequest {
  readonly path: string;
  /** Undefined where none is read. */
  readonly body?: object;
  /** Whether it takes an Idempotency-Key. */
  readonly isKeyed?: boolean;
}

/** One of every POST, by its name in a test. */
export const SOUND = {
  order: { path: '/v1/orders', body: GOOD_ORDER, isKeyed: true },
  'first order': { path: '/v1/orders', body: FIRST_ORDER, isKeyed: true },
  'order that needs approval': { path: '/v1/orders', body: { ...GOOD_ORDER, needsApproval: true }, isKeyed: true },
  payment: {
    ...{ path: '/v1/payments', isKeyed: true },
    body: { invoiceId: 'i-1', accountId: 'c-1', currency: 'EUR', amount: 1_250 },
  },
  registration: { path: '/v1/registrations', body: REGISTRATION, isKeyed: true },
  message: {
    ...{ path: '/v1/messages', isKeyed: true },
    body: { type: 'inventory.deduct', payload: { orderId: 'o-1' }, checkBackUrl: 'http://127.0.0.1:9/', immunityMs: 5 },
  },
  confirm: { path: '/v1/messages/{prepared}/confirm' },
  rollback: { path: '/v1/messages/{unwanted}/rollback' },
  cancel: { path: '/v1/sagas/{open}/cancel', body: { reason: 'a whim' } },
  event: { path: '/v1/sagas/{waiting}/events/order-approved', body: APPROVAL },
  'saga action': { path: '/v1/sagas/{parked}/actions', body: { actionId: 'a-1', action: 'retry', ...BY_ANN } },
  'message action': { path: '/v1/messages/{stuck}/actions', body: { actionId: 'a-2', action: 'resend', ...BY_ANN } },
  repair: { path: '/v1/repairs', body: REPAIR },
  'repair confirm': { path: '/v1/repairs/{repair}/confirm', body: { etag: '{etag}', count: 1 } },
  'repair cancel': { path: '/v1/repairs/{futile}/cancel' },
} as const satisfies Record<string, SoundRequest>;

/** What the sound requests are about, by name. */
export type Subjects = Readonly<Record<string, string>>;

/** Makes them, all of tenant `default`. */
export async function makeSubjects(api: TestApi): Promise<Subjects> {
  const { url } = api;
  const sagas = parkedSagas(() => api);
  const make = async ({ path, body }: SoundRequest): Promise<Record<string, unknown>> =>
    JSON.parse((await post(url, { path, body, headers: keyed(randomUUID()) })).body) as Record<string, unknown>;
  const idOf = async (request: SoundRequest, member: string): Promise<string> => String((await make(request))[member]);
  const stuck = await parkMessage(api, { code: 'soon' });
  const { body: repair } = await ask<{ repairId: string; etag: string }>(url, '/v1/repairs', { body: REPAIR });
  return {
    stuck,
    ...{ repair: repair.repairId, etag: repair.etag, futile: await idOf(SOUND.repair, 'repairId') },
    ...{ prepared: await idOf(SOUND.message, 'messageId'), unwanted: await idOf(SOUND.message, 'messageId') },
    ...{ open: await sagas.accept(), parked: await sagas.parkForward(), waiting: await acceptApproved(api) },
    orderId: await idOf(SOUND.order, 'orderId'),
    paymentId: await idOf(SOUND.payment, 'paymentId'),
    userId: await idOf(SOUND.registration, 'userId'),
  };
}

/** Puts subjects in their places. */
export function fill(text: string, subjects: Subjects): string {
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => subjects[name] ?? whole);
}

/** The headers that hold an Idempotency-Key. */
export function keyed(key: string): readonly string[] {
  return ['idempotency-key', key];
}

/** Posts JSON, or what claims to be JSON. */
export function post(
  url: string,
  { path, body, headers }: { path: string; body?: object | string; headers: readonly string[] },
): Promise<RawAnswer> {
  const text = typeof body === 'object' ? JSON.stringify(body) : body;
  const type = text === undefined ? [] : ['content-type', 'application/json'];
  return send(url, { method: 'POST', path, headers: [...type, ...headers], body: text });
}

/**
 * A body's text with one member replaced, added or left out.
 *
 * @param json what stands there instead, as JSON text; undefined leaves the member out
 */
export function spoiled(body: object, pointer: string, json: string | undefined): string {
  const root = structuredClone(body) as Record<string, unknown>;
  const names = pointer.split('/').slice(1);
  const last = names.pop()!;
  const holder = names.reduce((at, name) => at[name] as Record<string, unknown>, root);
  holder[last] = json === undefined ? undefined : '@here';
  return JSON.stringify(root).replace('"@here"', () => json!);
}

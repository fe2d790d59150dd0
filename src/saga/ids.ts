/** What a step asks for: `do` applies it, `undo` takes it back. */
export type StepAction = 'do' | 'undo';

/** A parsed effect key: which step of which saga, and in which direction. */
export interface EffectId {
  /** Of a saga, or of a message that belongs to none: see {@link messageEffectKey}. */
  readonly sagaId: string;
  readonly step: string;
  readonly action: StepAction;
}

const UUID = '[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}';
const SAGA_ID = new RegExp(`^sg_${UUID}$`);
const MESSAGE_ID = new RegExp(`^msg_${UUID}$`);
const OUTBOX_ID = new RegExp(`^om_${UUID}$`);
const EFFECT_KEY = new RegExp(`^((?:sg|msg|om)_${UUID})/([a-z][a-z0-9-]{0,62})/(do|undo)$`);
const STEP_NAME = /^[a-z][a-z0-9-]{0,62}$/;

/**
 * The id of a saga, from a UUIDv7 (RFC 9562): sortable by time, never client text, and the id of its workflow too.
 *
 * @throws TypeError when `uuid` is not a lower-case UUIDv7
 * @example sagaId('0198c5a0-7e1c-7000-8000-000000000001') // 'sg_0198c5a0-7e1c-7000-8000-000000000001'
 */
export function sagaId(uuid: string): string {
  const id = `sg_${uuid}`;
  if (!isSagaId(id)) throw new TypeError(`'${uuid}' is not a UUIDv7; generate saga ids with UUID version 7`);
  return id;
}

/** Whether `text` is a saga id, so that a lookup of anything else need not reach the database. */
export function isSagaId(text: string): boolean {
  return SAGA_ID.test(text);
}

/**
 * The id of a half message, from a UUIDv7, and the id of its workflow too.
 *
 * @throws TypeError when `uuid` is not a lower-case UUIDv7
 */
export function messageId(uuid: string): string {
  const id = `msg_${uuid}`;
  if (!isMessageId(id)) throw new TypeError(`'${uuid}' is not a UUIDv7; generate message ids with UUID version 7`);
  return id;
}

/** Whether `text` is the id of a half message. */
export function isMessageId(text: string): boolean {
  return MESSAGE_ID.test(text);
}

/** Whether `text` is the id of a message of the outbox: `settle.send` in the database makes them. */
export function isOutboxId(text: string): boolean {
  return OUTBOX_ID.test(text);
}

/**
 * The effect key of a message that belongs to no saga: the message stands where a saga would, its only step is `message`.
 * Participants need not tell the two apart.
 *
 * @example messageEffectKey('msg_…') // 'msg_…/message/do'
 */
export function messageEffectKey(id: string): string {
  return effectKey({ sagaId: id, step: 'message', action: 'do' });
}

/** Whether `text` may name a step: lower-case kebab, at most 63 characters. */
export function isStepName(text: string): boolean {
  return STEP_NAME.test(text);
}

/**
 * The idempotency key of one effect. It never changes over retry, reset, replay, edit or manual resend.
 *
 * @example effectKey({ sagaId: 'sg_…', step: 'stock', action: 'do' }) // 'sg_…/stock/do'
 */
export function effectKey({ sagaId, step, action }: EffectId): string {
  return `${sagaId}/${step}/${action}`;
}

/**
 * Takes an effect key apart.
 *
 * @returns the parts, or undefined when `key` is not an effect key of a saga or message
 * @example parseEffectKey('sg_…/stock/undo')?.action // 'undo'
 */
export function parseEffectKey(key: string): EffectId | undefined {
  const match = EFFECT_KEY.exec(key);
  if (!match) return undefined;
  const [, id, step, action] = match;
  return { sagaId: id!, step: step!, action: action as StepAction };
}

/**
 * The name of a saga type's workflow function, which the Temporal Web UI shows.
 *
 * @example workflowNameOf('place-order') // 'placeOrder'
 */
export function workflowNameOf(type: string): string {
  return type.replace(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

/**
 * When an id was made, from its UUIDv7 (RFC 9562 §5.7: the first 48 bits are ms since the epoch).
 *
 * @param text an id, or an effect key that begins with one
 * @returns ms since the epoch, or undefined when it holds no UUIDv7 after its prefix
 * @example timeOfId('sg_0198c5a0-7e1c-7000-8000-000000000001/stock/do') // 1755692203548
 */
export function timeOfId(text: string): number | undefined {
  const [, high, low] = /^[a-z]+_([0-9a-f]{8})-([0-9a-f]{4})-7/.exec(text) ?? [];
  return high === undefined ? undefined : Number.parseInt(`${high}${low}`, 16);
}

/**
 * Where the ids of a moment begin: every id with this prefix that was made at `ms` or later sorts behind it, every earlier one before.
 *
 * @param prefix without its underscore, e.g. `sg`
 * @example idBound('sg', 1755692203548) // 'sg_0198c5a0-7e1c'
 */
export function idBound(prefix: string, ms: number): string {
  const hex = Math.floor(ms).toString(16).padStart(12, '0');
  return `${prefix}_${hex.slice(0, 8)}-${hex.slice(8)}`;
}

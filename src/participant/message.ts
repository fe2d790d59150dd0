import type { Envelope } from '../saga/envelope.js';
import { effectKey, parseEffectKey, type EffectId } from '../saga/ids.js';

/** A message as a participant's handler sees it: the envelope with its effect key taken apart. */
export interface Message extends Envelope {
  readonly effect: EffectId;
  /** The effect key of the same step's `do`: what an `undo` looks up to find what it takes back. */
  readonly doKey: string;
}

/**
 * Takes an envelope's effect key apart.
 *
 * @returns undefined when the effect key is not one of a saga, or is one of another saga than the envelope's
 */
export function messageOf(envelope: Envelope): Message | undefined {
  const effect = parseEffectKey(envelope.effectKey);
  if (!effect || effect.sagaId !== envelope.sagaId) return undefined;
  return { ...envelope, effect, doKey: effectKey({ ...effect, action: 'do' }) };
}

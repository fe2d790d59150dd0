import { isDeepStrictEqual } from 'node:util';
import type { AskedMessage } from '../src/db/replies.js';
import { parseEffectKey } from '../src/saga/ids.js';
import type { Answer } from '../src/saga/outcome.js';
import type { Asked } from './reply-desk.js';

/**
 * The answer that the ledger has for a revision of a message.
 *
 * @returns undefined while there is none, or when nobody wants one any more
 */
export function answerIn(asked: AskedMessage | undefined, revision: number): Answer | undefined {
  if (asked?.revision !== revision) return undefined;
  if (asked.state === 'done') return { kind: 'done', result: asked.result };
  if (asked.state === 'open' || asked.state === 'closed' || !asked.reason) return undefined;
  return { kind: 'rejected', reason: asked.reason };
}

/** What is to become of an answer, by what the ledger knows of its message. */
export type ReplyVerdict =
  /** It is what was waited for. */
  | 'taken'
  /** The ledger has it already. */
  | 'duplicate'
  /** Its message has another answer, another revision, or nobody wants it any more. */
  | 'late'
  /** There is no such message, or it was never sent. */
  | 'unasked';

/** Judges an answer; only one that is `taken` may change anything. */
export function judge(
  asked: AskedMessage | undefined,
  { effectKey, revision, outcome }: Asked & { readonly outcome: Answer },
): ReplyVerdict {
  if (!asked) return 'unasked';
  if (asked.revision !== revision || asked.state === 'closed') return 'late';
  if (asked.state === 'open') return 'taken';
  const known = answerIn(asked, revision);
  if (known && isSame(effectKey, known, outcome)) return 'duplicate';
  // what was given up may have been done all the same
  return asked.state === 'dead' && outcome.kind === 'done' ? 'taken' : 'late';
}

function isSame(effectKey: string, known: Answer, given: Answer): boolean {
  if (known.kind === 'rejected') return given.kind === 'rejected' && known.reason.code === given.reason.code;
  if (known.kind !== 'done' || given.kind !== 'done') return false;
  // what an undo says is not kept
  const isKept = parseEffectKey(effectKey)?.action === 'do' && known.result !== null;
  return !isKept || isDeepStrictEqual(known.result, given.result);
}

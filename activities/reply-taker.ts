import type pg from 'pg';
import type { BrokerMessage } from '../src/brokers/broker.js';
import { decodeReply, type Reply } from '../src/brokers/reply.js';
import { recordOutbox } from '../src/db/outbox.js';
import { awaitReply, findAsked, tellOfReply, type AskedMessage } from '../src/db/replies.js';
import { isOutboxId, parseEffectKey } from '../src/saga/ids.js';
import { moveAfter } from '../src/saga/outbox.js';
import type { Answer } from '../src/saga/outcome.js';
import type { ReplyAddress } from '../src/transports/reply-address.js';
import type { Answers } from './answers.js';
import { answerIn, judge, type ReplyVerdict } from './known-answer.js';
import type { Ended } from './obtained.js';
import type { OpenActivities } from './open-activities.js';
import type { ReplyCounter } from './reply-counter.js';
import type { Asked, ReplyDesk } from './reply-desk.js';
import { cleaned } from './storable.js';

/** What answers are taken with. */
export interface TakerOptions {
  readonly pool: pg.Pool;
  readonly desk: ReplyDesk;
  readonly address: ReplyAddress;
  readonly record: Answers;
  readonly openActivities: OpenActivities;
  readonly counter: ReplyCounter;
}

export interface ReplyTaker {
  /**
   * Takes what has come to the reply address. Once it resolves it may be acknowledged: it is recorded, or of no use.
   *
   * @throws when it could not be recorded: it must come again
   */
  take(message: BrokerMessage, transport: string): Promise<void>;
  /** Takes what another worker tells of an answer that it has recorded. */
  hear(notice: string): Promise<void>;
  /** Looks whether what this process waits for has been recorded: what it was told meanwhile is lost. */
  lookAround(): Promise<void>;
}

/** Larger answers are not read: a result travels through workflow histories, where 64 KiB is the limit we keep. */
const MAX_REPLY_BYTES = 68 * 1024;

/**
 * Takes answers that come by themselves.
 *
 * | an answer | |
 * |---|---|
 * | that somebody here waits for | is handed over, and theirs to record |
 * | that nobody here waits for | is recorded here, then told to the activity or the process that does |
 * | unreadable, forged, unasked, late or known | changes nothing and is counted |
 */
export function createReplyTaker(options: TakerOptions): ReplyTaker {
  const { pool, desk, address, counter } = options;
  const look = async (asked: Asked): Promise<void> => {
    const answer = answerIn(await findAsked(pool, asked.effectKey), asked.revision);
    if (answer) desk.hear(asked, answer);
  };
  return {
    take: async (message, transport) => {
      const reply = readReply(message);
      if (!reply) return counter.add(transport, 'unreadable');
      if (!address.isOurs(reply)) return counter.add(transport, 'forged');
      const handed = desk.hand(reply);
      if (handed && !(await handed)) throw new Error(`the answer to '${reply.effectKey}' is not recorded yet`);
      counter.add(transport, handed ? 'taken' : await takeAlone(options, reply));
    },
    hear: async (notice) => {
      const { effectKey, revision, answer } = JSON.parse(notice) as Notice;
      if (!desk.waiting().some((asked) => asked.effectKey === effectKey && asked.revision === revision)) return;
      if (answer) desk.hear({ effectKey, revision }, answer);
      else await look({ effectKey, revision });
    },
    lookAround: async () => {
      await Promise.all(desk.waiting().map(look));
    },
  };
}

/** What workers tell each other. A result may be too large for it, and is in the ledger. */
interface Notice extends Asked {
  readonly answer?: Exclude<Answer, { kind: 'done' }>;
}

/** Records an answer that nobody in this process waits for, and tells who does. */
async function takeAlone(options: TakerOptions, reply: Reply): Promise<ReplyVerdict> {
  const { pool, openActivities } = options;
  const { effectKey, revision } = reply;
  const asked = await findAsked(pool, effectKey);
  const verdict = judge(asked, reply);
  if (verdict === 'unasked' || verdict === 'late') return verdict;
  const ended = await recordAlone(options, reply, asked!);
  const activity = await tellOfReply(pool, effectKey, JSON.stringify(noticeOf(reply, ended)));
  // it is to be asked again, not waited for
  if (!ended.isDone) await awaitReply(pool, { effectKey, revision, forMs: 0 });
  if (activity) await openActivities.end(activity, ended);
  return verdict;
}

async function recordAlone({ pool, record }: TakerOptions, reply: Reply, asked: AskedMessage): Promise<Ended> {
  const { effectKey, revision, outcome } = reply;
  // nobody else makes it a dead letter: its relay may be gone
  if (outcome.kind === 'rejected' && isOutboxId(parseEffectKey(effectKey)!.sagaId)) {
    const move = moveAfter({ attempt: asked.attempts, ageMs: asked.ageMs, outcome }, 0);
    await recordOutbox(pool, [{ effectKey, attempt: asked.attempts, move }]);
  }
  return record({ effectKey, revision, type: asked.type }, outcome);
}

function noticeOf({ effectKey, revision, outcome }: Reply, ended: Ended): Notice {
  if (outcome.kind !== 'done') return { effectKey, revision, answer: outcome };
  if (ended.isDone) return { effectKey, revision };
  return { effectKey, revision, answer: { kind: 'unknown', detail: ended.failure.message } };
}

/** Reads what came; undefined when it is no answer. Its texts are cut to what the ledger can hold. */
function readReply(message: BrokerMessage): Reply | undefined {
  if (message.body.length > MAX_REPLY_BYTES) return undefined;
  try {
    const reply = decodeReply(message, parse);
    if (!reply || !parseEffectKey(reply.effectKey)) return undefined;
    if (reply.outcome.kind !== 'rejected') return reply;
    const { code, message: text } = reply.outcome.reason;
    return { ...reply, outcome: { kind: 'rejected', reason: { code: cleaned(code), message: cleaned(text) } } };
  } catch {
    // whatever it is, it will be no better when it comes again
    return undefined;
  }
}

function parse(body: Buffer): unknown {
  const value = JSON.parse(body.toString('utf8')) as unknown;
  // one that is nested too deep to be written again is none of ours
  JSON.stringify(value);
  return value;
}

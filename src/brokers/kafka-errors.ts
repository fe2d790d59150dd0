import { BrokerError } from './broker.js';
import type { BrokerErrorKind } from './broker.js';

/** The protocol's error codes that we act upon. */
export const CODES = {
  offsetOutOfRange: 1,
  unknownTopic: 3,
  leaderNotAvailable: 5,
  notLeader: 6,
  requestTimedOut: 7,
  replicaNotAvailable: 9,
  messageTooLarge: 10,
  invalidTopic: 17,
  recordsTooLarge: 18,
  notEnoughReplicas: 19,
  notEnoughReplicasAfterAppend: 20,
  illegalGeneration: 22,
  unknownMember: 25,
  rebalanceInProgress: 27,
  topicExists: 36,
  policyViolation: 44,
  fencedLeaderEpoch: 74,
  memberIdRequired: 79,
  fencedInstance: 82,
  invalidRecord: 87,
} as const;

/** What asks for fresh metadata; nothing was stored. */
const STALE: ReadonlySet<number> = new Set([
  CODES.unknownTopic,
  CODES.leaderNotAvailable,
  CODES.notLeader,
  CODES.replicaNotAvailable,
  CODES.fencedLeaderEpoch,
]);

/** This consumer is no member of its group any more, or of an earlier generation of it. */
const LOST: ReadonlySet<number> = new Set([CODES.illegalGeneration, CODES.unknownMember, CODES.fencedInstance]);

const KINDS: Readonly<Record<number, BrokerErrorKind>> = {
  [CODES.unknownTopic]: 'unroutable',
  [CODES.invalidTopic]: 'unroutable',
  // a compacted topic takes no message without a key
  [CODES.invalidRecord]: 'unroutable',
  [CODES.messageTooLarge]: 'too-large',
  [CODES.recordsTooLarge]: 'too-large',
  // fewer replicas in sync than the topic asks for: it takes nothing until they are back
  [CODES.notEnoughReplicas]: 'full',
  [CODES.requestTimedOut]: 'timeout',
};

/** The protocol's error codes in an error of the client library; empty where the connection broke. */
export function codesOf(error: unknown): readonly number[] {
  const { apiCode, errors } = error as { readonly apiCode?: number; readonly errors?: readonly unknown[] };
  return [...(typeof apiCode === 'number' ? [apiCode] : []), ...(errors ?? []).flatMap(codesOf)];
}

/** Whether a leader or a topic is not where we thought. */
export function isStale(error: unknown): boolean {
  return codesOf(error).some((code) => STALE.has(code));
}

/** Whether others may have our partitions now. */
export function isLost(error: unknown): boolean {
  return codesOf(error).some((code) => LOST.has(code));
}

/** Whether the broker said so; else it was never reached, or never answered. */
export function hasCode(error: unknown, code: number): boolean {
  return codesOf(error).includes(code);
}

/** What happened, with the server's own words where it sent some. */
export function describe(error: unknown): string {
  const { message, errors, cause, serverErrorMessage } = error as Error & {
    readonly errors?: readonly unknown[];
    readonly serverErrorMessage?: string | null;
  };
  const first = errors?.[0] ?? cause;
  // the server's own words are often empty
  if (first === undefined) return [serverErrorMessage, message].find((each) => each) ?? 'it gave no reason';
  return `${message.replace(/\.$/, '')}: ${describe(first)}`;
}

/**
 * Says for a caller what went wrong.
 *
 * @param what e.g. `message 'm-1' was not sent to Kafka topic 't'`
 */
export function brokerError(what: string, cause: unknown): BrokerError {
  if (cause instanceof BrokerError) return cause;
  const kind = codesOf(cause)
    .map((code) => KINDS[code])
    .find((each) => each !== undefined);
  return new BrokerError(kind ?? 'unavailable', `${what}: ${describe(cause)}`, { cause });
}

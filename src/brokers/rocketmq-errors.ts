import definitions from 'rocketmq-client-nodejs/proto/apache/rocketmq/v2/definition_pb.js';
import { BrokerError } from './broker.js';
import type { BrokerErrorKind } from './broker.js';
import { StatusError } from './rocketmq-client.js';

const { Code } = definitions;

const DEADLINE_EXCEEDED = 4;

const KINDS = new Map<number, BrokerErrorKind>([
  [Code.NOT_FOUND, 'unroutable'],
  [Code.TOPIC_NOT_FOUND, 'unroutable'],
  [Code.ILLEGAL_TOPIC, 'unroutable'],
  [Code.MESSAGE_PROPERTY_CONFLICT_WITH_TYPE, 'unroutable'],
  [Code.PAYLOAD_TOO_LARGE, 'too-large'],
  [Code.MESSAGE_BODY_TOO_LARGE, 'too-large'],
  [Code.REQUEST_HEADER_FIELDS_TOO_LARGE, 'too-large'],
  [Code.MESSAGE_PROPERTIES_TOO_LARGE, 'too-large'],
  [Code.TOO_MANY_REQUESTS, 'full'],
  [Code.REQUEST_TIMEOUT, 'timeout'],
  [Code.PROXY_TIMEOUT, 'timeout'],
  // it lies in memory there, not yet on disk
  [Code.MASTER_PERSISTENCE_TIMEOUT, 'timeout'],
  [Code.SLAVE_PERSISTENCE_TIMEOUT, 'timeout'],
]);

/** What broker and proxy say when they have taken nothing; there is no code for it. */
const FULL =
  /disk is full|service not available now|system busy|broker busy|create mapped file failed|unable to service/i;

/**
 * What a failed call means.
 *
 * @param what was tried, e.g. `message 'm-1' was not sent to 'orders'`
 */
export function toBrokerError(cause: unknown, what: string): BrokerError {
  if (cause instanceof BrokerError) return new BrokerError(cause.kind, `${what}: ${cause.message}`, { cause });
  const error = cause as Error & { readonly code?: number };
  return new BrokerError(kindOf(error), `${what}: ${error.message}${hintOf(error)}`, { cause });
}

/** Whether the topic is not there, or not there any more. */
export function isMissing(cause: unknown): boolean {
  return cause instanceof StatusError && KINDS.get(cause.code) === 'unroutable';
}

function kindOf(error: Error & { readonly code?: number }): BrokerErrorKind {
  if (!(error instanceof StatusError)) return error.code === DEADLINE_EXCEEDED ? 'timeout' : 'unavailable';
  const kind = KINDS.get(error.code);
  if (kind) return kind;
  return FULL.test(error.message) ? 'full' : 'unavailable';
}

function hintOf(error: Error): string {
  return isMissing(error) ? '; create the topic with `mqadmin updateTopic`' : '';
}

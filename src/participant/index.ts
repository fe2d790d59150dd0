export type { Transaction } from '../db/pool.js';
export { createInbox, type Inbox, type InboxAnswer, type InboxOptions } from './inbox.js';
export { createRedisInbox, type RedisInbox, type RedisInboxOptions } from './inbox-redis.js';
export {
  createRedisParticipant,
  type RedisMessageHandler,
  type RedisParticipantBuilder,
  type RedisParticipantOptions,
} from './participant-redis.js';
export { inboxByWeek, inboxSchema } from './inbox-schema.js';
export { keepInbox } from './retention.js';
export { WindowError, type InboxWindow } from '../saga/windows.js';
export { messageOf, type Message } from './message.js';
export { migrateParticipant, seedParticipant, type ParticipantMigration, type ParticipantSchema } from './migrate.js';
export {
  createParticipant,
  UnknownTypeError,
  WrongActionError,
  type MessageHandler,
  type Participant,
  type ParticipantBuilder,
  type ParticipantOptions,
} from './participant.js';
export { createHttpHandler, type HttpOptions } from './http.js';
export { serveParticipant, type ParticipantServer, type ServeOptions } from './server.js';
export type { ServedConsumer } from './served-consumers.js';
export { createParticipantMetrics, outcomeOf, type ParticipantMetrics } from './metrics.js';
export { consume, type ConsumeOptions, type Consumer, type ConsumerInbox, type ConsumerTransport } from './consumer.js';
export { consumeWith, type ConsumeSettings, type ConsumeWithOptions, type RunningConsumer } from './consume-with.js';
export type { AttemptPolicy } from './delivery.js';
export { createAttemptCounter, createMemoryAttempts, type AttemptCounter, type AttemptRecord } from './attempts.js';
export { attemptsSchema } from './attempts-schema.js';
export { createConsumerMetrics, type ConsumerMetrics } from './consumer-metrics.js';
export { DEAD_HEADERS, deadLettersOf } from './dead-letters.js';
export { canonicalJson, requestHash } from './json.js';

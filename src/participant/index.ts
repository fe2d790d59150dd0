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
export { createParticipantMetrics, outcomeOf, type ParticipantMetrics } from './metrics.js';
export { canonicalJson, requestHash } from './json.js';

import { createRedisConnection } from '../../src/brokers/redis-connection.js';
import { createRedisInbox } from '../../src/participant/inbox-redis.js';
import { messageFor } from '../support/participant-kit.js';

/** A participant that has done its work and never comes to record it, until it is killed. */
const [url = '', sagaId = ''] = process.argv.slice(2);

const redis = createRedisConnection({ url, name: 'inbox' });
const message = messageFor({ sagaId, type: 'notes.write', payload: { amount: 1 } });
await createRedisInbox({ consumer: 'notes', redis, turnMs: 500 }).apply(message, async () => {
  process.stdout.write('worked\n');
  await new Promise(() => undefined);
});

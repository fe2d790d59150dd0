import { writeSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { consume } from '../../src/participant/index.js';
import { DEAD, eventFor, FROM, noteHandlers, openOffice } from './consumers.js';

/**
 * A consumer as a process of its own, whose handler ends it when it meets the killer. It is given what is not acknowledged, and which of
 * that was out before; it prints a line for what it takes (`out`), what it has acknowledged, and what is dead.
 */
interface Given {
  readonly databaseUrl: string;
  /** The saga whose message ends the process. */
  readonly killer: string;
  /** Saga, and whether its message was out before. */
  readonly messages: readonly (readonly [string, boolean])[];
}

const { databaseUrl, killer, messages } = JSON.parse(process.argv[2]!) as Given;
const office = await openOffice();
const say = (what: string, sagaId: string): void => void writeSync(1, `${what} ${sagaId}\n`);

// what an earlier process had taken goes back as a server would give it back
const events = messages.map(([sagaId, wasOut]) => ({ wasOut, sagaId, event: eventFor({ sagaId }) }));
const earlier = office.connect();
earlier.subscribe({
  ...{ from: FROM, group: 'notes', prefetch: messages.length },
  handle: () => new Promise(() => undefined),
  onTrouble: () => undefined,
});
await office.send(...events.filter(({ wasOut }) => wasOut).map(({ event }) => event));
earlier.crash();
await office.send(...events.filter(({ wasOut }) => !wasOut).map(({ event }) => event));

const sagaOf = new Map(events.map(({ event, sagaId }) => [event.id, sagaId]));
const transport = office.connect({
  beforeStore: ({ id }, { to }) => {
    if (to === DEAD) say('dead', sagaOf.get(id)!);
  },
  beforeAcknowledge: ({ id }) => say('acknowledged', sagaOf.get(id)!),
});
for (const { sagaId } of events) say('out', sagaId);
const consumer = consume({
  transport,
  from: FROM,
  inbox: { consumer: 'notes', databaseUrl },
  handlers: noteHandlers(async (_, effectKey) => {
    if (effectKey.startsWith(killer)) process.kill(process.pid, 'SIGKILL');
    // so that it is under way when the process ends
    await delay(50);
  }),
});
await consumer.ready;
while (office.left() > 0) await delay(5);
await consumer.stop();

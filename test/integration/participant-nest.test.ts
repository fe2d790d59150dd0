import 'reflect-metadata';
import { Injectable, Module, type INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type pg from 'pg';
import { findFreePorts } from '../../src/dev/ports.js';
import type { Transaction } from '../../src/participant/index.js';
import { Handles, ParticipantModule, type ParticipantModuleOptions } from '../../src/participant/nest.js';
import { eventFor, openOffice, QUICK, type Office } from '../support/consumers.js';
import { useDatabase } from '../support/databases.js';
import { eventually } from '../support/eventually.js';
import { headersFor } from '../support/notes-server.js';
import { freshSagaId, notedAmount, notes, openNotes } from '../support/participant-kit.js';

const database = useDatabase('inventory');
let pool: pg.Pool;
let office: Office;

beforeAll(async () => {
  pool = await openNotes(database.url);
  office = await openOffice();
});

afterAll(() => pool?.end());

@Injectable()
class Book {
  /** Proves that handlers are called on their provider. */
  private readonly sign = 1;

  @Handles(notes.write)
  async write(
    tx: Transaction,
    { amount }: { amount: number },
    { effectKey }: { effectKey: string },
  ): Promise<{ noted: number }> {
    await this.add(tx, effectKey, amount * this.sign);
    return { noted: amount };
  }

  @Handles(notes.erase)
  async erase(
    tx: Transaction,
    { amount }: { amount: number },
    { effectKey }: { effectKey: string },
  ): Promise<{ erased: number }> {
    await this.add(tx, effectKey, -amount);
    return { erased: amount };
  }

  private async add(tx: Transaction, effectKey: string, amount: number): Promise<void> {
    await tx.query('insert into notes.note (effect_key, amount) values ($1, $2)', [effectKey, amount]);
  }
}

/** An application of its own for each test. */
function open(options: Partial<ParticipantModuleOptions>, providers = [Book]): Promise<INestApplicationContext> {
  const inbox = { consumer: 'notes', databaseUrl: database.url };
  @Module({ imports: [ParticipantModule.forRoot({ inbox, ...options })], providers })
  class AppModule {}
  return NestFactory.createApplicationContext(AppModule, { logger: false, abortOnError: false });
}

const untilDone = (): Promise<void> => eventually(() => expect(office.left()).toBe(0));

describe('a Nest application that is a participant', () => {
  it('handles messages of a broker with its decorated methods, each once, and answers', async () => {
    const sagaId = freshSagaId();
    const app = await open({ consumers: [{ transport: office.connect(), from: 'notes', retry: QUICK }] });
    await office.send(eventFor({ sagaId }), eventFor({ sagaId }));
    await untilDone();
    await office.send(eventFor({ sagaId, type: notes.erase.type, action: 'undo' }));
    await untilDone();
    await app.close();
    const outcomes = office.replies().map(({ outcome }) => outcome.kind === 'done' && outcome.result);
    expect(outcomes).toEqual([{ noted: 5 }, { noted: 5 }, { erased: 5 }]);
    expect(await notedAmount(pool, sagaId)).toBe(0);
  });

  it('is drained when the application closes, and takes nothing afterwards', async () => {
    const sagaId = freshSagaId();
    const app = await open({ consumers: [{ transport: office.connect(), from: 'notes' }] });
    await app.close();
    await office.send(eventFor({ sagaId }));
    const again = await open({ consumers: [{ transport: office.connect(), from: 'notes' }] });
    expect(await notedAmount(pool, sagaId)).toBe(0);
    await untilDone();
    await again.close();
    expect(await notedAmount(pool, sagaId)).toBe(5);
  });

  it('serves HTTP beside its brokers, with one inbox for both', async () => {
    const sagaId = freshSagaId();
    const port = await findFreePorts();
    const app = await open({
      http: { host: '127.0.0.1', port },
      consumers: [{ transport: office.connect(), from: 'notes' }],
    });
    await office.send(eventFor({ sagaId }));
    await untilDone();
    const response = await fetch(`http://127.0.0.1:${port}/messages/notes.write`, {
      ...{ method: 'POST', headers: headersFor(`${sagaId}/note/do`), body: '{"amount":5}' },
    });
    expect([response.status, response.headers.get('idempotent-replayed')]).toEqual([200, 'true']);
    const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    expect(metrics).toMatch(/settle_consumer_messages_total\{from="notes",outcome="applied",consumer="notes"\} 1/);
    await app.close();
  });

  it('does not start when the undo of what it handles is handled by nobody', async () => {
    @Injectable()
    class Half {
      @Handles(notes.write)
      write(): Promise<{ noted: number }> {
        return Promise.resolve({ noted: 1 });
      }
    }
    const started = open({ consumers: [{ transport: office.connect(), from: 'notes' }] }, [Half as never]);
    await expect(started).rejects.toThrow("'notes' handles 'notes.write' but not its undo 'notes.erase'");
  });
});

import { createRedisConnection, type RedisConnection } from '../../src/brokers/redis-connection.js';
import { createRedisParticipant } from '../../src/participant/index.js';
import type { Message, Participant } from '../../src/participant/index.js';
import { RejectedError, RetryableError } from '../../src/saga/errors.js';
import { eventually } from '../support/eventually.js';
import { freshSagaId, messageFor, notes } from '../support/participant-kit.js';
import { gate, killScript, startScript, startTestRedis, type TestRedis } from './redis-kit.js';
import { describeWhere } from '../support/transports/where-broker-is.js';

const describeHere = await describeWhere('redis');

let redis: TestRedis;
let connection: RedisConnection;

describeHere('with Redis', () => {
  beforeAll(async () => {
    redis = await startTestRedis();
    connection = createRedisConnection({ url: redis.url, name: 'inbox', timeoutMs: 10_000 });
  });
  afterAll(async () => {
    await connection.close();
    await redis.remove();
  });

  interface Notes {
    readonly participant: Participant;
    readonly runs: string[];
  }
  const openNotes = (
    write: () => Promise<void> = () => Promise.resolve(),
    commands = connection,
    turnMs = 500,
  ): Notes => {
    const runs: string[] = [];
    const participant = createRedisParticipant({ consumer: 'notes', redis: commands, turnMs })
      .handle(notes.write, async ({ amount }, { effectKey }) => {
        runs.push(effectKey);
        await write();
        return { noted: amount };
      })
      .handle(notes.erase, ({ amount }, { effectKey }) => {
        runs.push(effectKey);
        return Promise.resolve({ erased: amount });
      })
      .build();
    return { participant, runs };
  };
  const write = (sagaId: string, parts: { revision?: number; amount?: number } = {}): Message =>
    messageFor({ sagaId, type: 'notes.write', payload: { amount: parts.amount ?? 1 }, revision: parts.revision });
  const erase = (sagaId: string): Message =>
    messageFor({ sagaId, type: 'notes.erase', action: 'undo', payload: { amount: 1 } });

  describe('an inbox in Redis', () => {
    it('runs a message once and answers its repetitions from the record', async () => {
      const { participant, runs } = openNotes();
      const message = write(freshSagaId());
      expect(await participant.deliver(message)).toEqual({ kind: 'applied', via: 'work', result: { noted: 1 } });
      expect(await participant.deliver(message)).toEqual({ kind: 'applied', via: 'record', result: { noted: 1 } });
      expect(runs).toHaveLength(1);
    });

    it('sends a repetition away while the first is under way, however slow that is', async () => {
      const hold = gate();
      const turnMs = 4_000;
      const { participant, runs } = openNotes(() => hold.opened, connection, turnMs);
      const message = write(freshSagaId());
      const first = participant.deliver(message);
      await eventually(() => expect(runs).toHaveLength(1));
      const begunAt = Date.now();
      // longer than two turns: it is extended while its process lives
      await eventually(async () => {
        await expect(participant.deliver(message)).rejects.toThrow(RetryableError);
        expect(Date.now() - begunAt).toBeGreaterThan(2.2 * turnMs);
      });
      hold.open();
      expect(await first).toMatchObject({ via: 'work' });
      expect(runs).toHaveLength(1);
    });

    it('keeps a rejection, which only a higher revision runs again', async () => {
      const answers = [Promise.reject(new RejectedError('out-of-stock', 'none left')), Promise.resolve()];
      answers[0]!.catch(() => undefined);
      const { participant } = openNotes(() => answers.shift()!);
      const saga = freshSagaId();
      const rejected = { kind: 'rejected', reason: { code: 'out-of-stock', message: 'none left' } };
      expect(await participant.deliver(write(saga))).toEqual({ ...rejected, via: 'work' });
      expect(await participant.deliver(write(saga))).toEqual({ ...rejected, via: 'record' });
      expect(await participant.deliver(write(saga, { revision: 1 }))).toMatchObject({ kind: 'applied', via: 'work' });
      expect(await participant.deliver(write(saga))).toMatchObject({ kind: 'applied', via: 'record' });
    });

    it('refuses a do after its undo, and another request under its key', async () => {
      const { participant, runs } = openNotes();
      const [early, reused] = [freshSagaId(), freshSagaId()];
      expect(await participant.deliver(erase(early))).toMatchObject({ via: 'nothing-to-undo' });
      expect(await participant.deliver(write(early))).toMatchObject({ kind: 'refused', via: 'tombstone' });
      expect(runs).toEqual([]);
      await participant.deliver(write(reused));
      expect(await participant.deliver(write(reused, { amount: 2 }))).toMatchObject({ via: 'effect-key-reused' });
      expect(await participant.deliver(erase(reused))).toMatchObject({ kind: 'applied', via: 'work' });
    });

    it('remembers for as long as its window and a day', async () => {
      const message = write(freshSagaId());
      await openNotes().participant.deliver(message);
      const [key = ''] = (await redis.ask('KEYS', `settle:*${message.effect.sagaId}*`)) as string[];
      expect(Number(await redis.ask('PTTL', key))).toBeGreaterThan(30 * 86_400_000);
    });
  });

  describe('what an inbox in Redis does not promise', () => {
    it('runs the work again after a kill between work and record, once the turn is over; an undo runs too', async () => {
      const { participant, runs } = openNotes();
      const [again, undone] = [freshSagaId(), freshSagaId()];
      for (const saga of [again, undone]) {
        await killScript(await startScript('inbox-redis-script.ts', [redis.url, saga], 'worked'));
      }
      expect(await eventually(() => participant.deliver(write(again)))).toMatchObject({ via: 'work' });
      expect(await eventually(() => participant.deliver(erase(undone)))).toMatchObject({
        kind: 'applied',
        via: 'work',
      });
      expect(await participant.deliver(write(undone))).toMatchObject({ kind: 'refused', via: 'tombstone' });
      expect(runs).toHaveLength(2);
    });

    it('runs the work again once everything was flushed', async () => {
      const { participant, runs } = openNotes();
      const message = write(freshSagaId());
      await participant.deliver(message);
      await redis.ask('FLUSHALL');
      expect(await participant.deliver(message)).toMatchObject({ via: 'work' });
      expect(runs).toHaveLength(2);
    });

    it('runs the work again where a killed Redis kept no file; without Redis nothing runs and the outcome is unknown', async () => {
      const forgetful = await startTestRedis({ isPersistent: false });
      const commands = createRedisConnection({ url: forgetful.url, name: 'inbox', timeoutMs: 500 });
      const { participant, runs } = openNotes(undefined, commands);
      const message = write(freshSagaId());
      await participant.deliver(message);
      await forgetful.kill();
      await expect(participant.deliver(message)).rejects.toThrow(RetryableError);
      expect(runs).toHaveLength(1);
      await forgetful.restart();
      expect(await eventually(() => participant.deliver(message))).toMatchObject({ via: 'work' });
      expect(runs).toHaveLength(2);
      await commands.close();
      await forgetful.remove();
    });
  });
});

import type { BrokerMessage } from '../../src/brokers/broker.js';
import { attributesOf, encodeCloudEvent } from '../../src/brokers/cloud-event.js';
import { decodeReply, type Reply } from '../../src/brokers/reply.js';
import { consume, type ConsumeOptions, type Consumer, type ParticipantBuilder } from '../../src/participant/index.js';
import { RejectedError } from '../../src/saga/errors.js';
import { createMemoryServer, type MemoryClient, type MemoryClientOptions, type MemoryServer } from './memory-broker.js';
import { messageFor, notes, type MessageParts } from './participant-kit.js';

/** Where these tests send, and where the answers go. */
export const FROM = 'notes';
export const DEAD = 'notes.dead';
export const REPLIES = 'replies';

/** Back-off that a test need not wait for. */
export const QUICK = { firstMs: 1, maxMs: 4 } as const;

/** What a test wants to be different about a message. */
export interface SentParts extends Partial<MessageParts> {
  readonly sagaId: string;
  /** @default a token that says whose it is */
  readonly token?: string;
  /** False: nobody waits for the answer. */
  readonly hasReply?: boolean;
  readonly key?: string;
  readonly mode?: 'structured' | 'binary';
}

/** A message as Settle's own sender would publish it; a `notes.write` of 5 unless told otherwise. */
export function eventFor(parts: SentParts): BrokerMessage {
  const { token = `token of ${parts.sagaId}`, hasReply = true, key, mode, ...rest } = parts;
  const message = messageFor({ type: notes.write.type, payload: { amount: 5 }, ...rest });
  const replyTo = hasReply ? { address: REPLIES, token: token.replaceAll(' ', '-') } : undefined;
  const attributes = attributesOf({ ...message, replyTo, orderKey: key });
  const prefix = mode === 'binary' ? 'cloudEvents:' : undefined;
  return { ...encodeCloudEvent({ attributes, data: message.payload }, prefix), key };
}

/** The handlers of the smallest participant; `write` is what a test wants its `do` to be. */
export function noteHandlers(
  write: (amount: number, effectKey: string) => void | Promise<void> = () => undefined,
): (participant: ParticipantBuilder) => ParticipantBuilder {
  return (participant) =>
    participant
      .handle(notes.write, async (tx, { amount }, { effectKey }) => {
        if (amount === 13) throw new RejectedError('unlucky', 'no 13 here');
        await tx.query('insert into notes.note (effect_key, amount) values ($1, $2)', [effectKey, amount]);
        await write(amount, effectKey);
        return { noted: amount };
      })
      .handle(notes.erase, async (tx, { amount }, { effectKey }) => {
        await tx.query('insert into notes.note (effect_key, amount) values ($1, $2)', [effectKey, -amount]);
        return { erased: amount };
      });
}

/** A broker of a test's own, and what happened there. */
export interface Office {
  readonly server: MemoryServer;
  /** The sender's own connection. */
  readonly sender: MemoryClient;
  send(...messages: readonly BrokerMessage[]): Promise<void>;
  /** The answers so far, oldest first. */
  replies(): readonly Reply[];
  /** How many messages are not acknowledged. */
  left(): number;
  /** A connection for a consumer. */
  connect(options?: MemoryClientOptions): MemoryClient;
}

/** A broker where everything is declared that these tests use. */
export async function openOffice(): Promise<Office> {
  const server = createMemoryServer();
  const sender = server.connect();
  for (const name of [FROM, DEAD, REPLIES]) await sender.declare({ name });
  return {
    server,
    sender,
    send: async (...messages) => {
      for (const message of messages) await sender.publish(message, { to: FROM, timeoutMs: 30_000 });
    },
    replies: () =>
      server.stored(REPLIES).map((message) => decodeReply(message, (body) => JSON.parse(body.toString()) as unknown)!),
    left: () => server.left(FROM, 'notes'),
    connect: (options) => server.connect(options),
  };
}

/** A consumer of `notes` with quick retries. */
export function consumeNotes(
  options: Pick<ConsumeOptions, 'transport'> & { readonly databaseUrl: string } & Partial<ConsumeOptions>,
): Consumer {
  const { databaseUrl, ...rest } = options;
  return consume({
    from: FROM,
    inbox: { consumer: 'notes', databaseUrl },
    handlers: noteHandlers(),
    retry: QUICK,
    ...rest,
  });
}

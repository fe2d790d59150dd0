import type { MessageContract } from '../saga/message-contract.js';
import { unwrapped, type Wrap } from '../saga/wrap.js';
import type { InboxWindow } from '../saga/windows.js';
import { checkWindow, createHandlerRegistry, runHandler } from './handlers.js';
import { createRedisInbox, type RedisInboxOptions } from './inbox-redis.js';
import type { InboxAnswer } from './inbox.js';
import type { Message } from './message.js';
import type { Participant } from './participant.js';

/**
 * What a message asks for, where there is no database to do it in: it may run again, see `RedisInbox`.
 * Throw `RejectedError` to refuse for good, before anything was changed; anything else means that it may be tried again.
 */
export type RedisMessageHandler<Payload, Result> = (payload: Payload, message: Message) => Promise<Result>;

/** A participant without a database to which handlers are still being added. */
export interface RedisParticipantBuilder {
  /**
   * Handles a message type.
   *
   * @throws TypeError when it is handled already
   */
  handle<Payload, Result>(
    contract: MessageContract<Payload, Result>,
    handler: RedisMessageHandler<NoInfer<Payload>, NoInfer<Result>>,
  ): RedisParticipantBuilder;
  /**
   * Checks the whole.
   *
   * @throws TypeError that names the message whose undo nobody handles
   * @throws WindowError when the inbox forgets what its senders may send again
   */
  build(): Participant;
}

/** What a participant without a database needs from outside. */
export interface RedisParticipantOptions extends Omit<RedisInboxOptions, 'windowMs'> {
  /** What the inbox remembers, and what its senders need. @default 30 days, for senders that need no more */
  readonly inbox?: InboxWindow;
  /** Told of each answer once it is recorded. */
  readonly onAnswer?: (message: Message, answer: InboxAnswer) => void;
  /** Passed the `inbox` and the finished `participant` once. @default hands them on as they are */
  readonly wrap?: Wrap;
}

/**
 * A consumer without a database: it remembers in Redis what it has done. HTTP and brokers take it like any other, but what it promises
 * is weaker: see {@link RedisInbox}. Never the only guard of money.
 *
 * @example
 * const participant = createRedisParticipant({ consumer: 'mailer', redis })
 *   .handle(mails.welcome, async ({ address }, { effectKey }) => sendMail(address, effectKey))
 *   .build();
 */
export function createRedisParticipant(options: RedisParticipantOptions): RedisParticipantBuilder {
  const { consumer, onAnswer, wrap = unwrapped } = options;
  const registry = createHandlerRegistry<RedisMessageHandler<unknown, unknown>>(consumer);
  const builder: RedisParticipantBuilder = {
    handle: (contract, handler) => {
      registry.add(contract as MessageContract<unknown>, handler as RedisMessageHandler<unknown, unknown>);
      return builder;
    },
    build: () => {
      const handlers = registry.build();
      const { windowMs } = checkWindow(consumer, options.inbox);
      const inbox = wrap('inbox', createRedisInbox({ ...options, windowMs }));
      const deliver = async (message: Message): Promise<InboxAnswer> => {
        const { contract, handler } = handlers.find(message);
        const answer = await inbox.apply(message, () =>
          runHandler(message, contract, (payload) => handler(payload, message)),
        );
        onAnswer?.(message, answer);
        return answer;
      };
      return wrap('participant', { consumer, types: handlers.types, deliver });
    },
  };
  return builder;
}

import { createHmac, timingSafeEqual } from 'node:crypto';
import { replyAddressOf, type Envelope, type ReplyTo } from '../saga/envelope.js';

/** Where an installation takes participants' answers, and how it knows that it has asked for one. */
export interface ReplyAddress {
  /** Queue, topic or stream; of the same name at every broker, and for all workers of the installation. */
  readonly address: string;
  /** Where the answer to this message is to go. */
  replyTo(envelope: Pick<Envelope, 'effectKey' | 'revision'>): ReplyTo;
  /** Whether a token is the one that went out with this effect and revision. */
  isOurs(reply: { readonly effectKey: string; readonly revision: number; readonly token: string }): boolean;
}

/**
 * The reply address of an installation. A token is an HMAC of what it was given out for, so that no other effect and no other
 * revision can be answered with it.
 *
 * @param secret from the ledger, so that any worker knows the tokens of all
 */
export function createReplyAddress(taskQueue: string, secret: Buffer): ReplyAddress {
  const tokenOf = (effectKey: string, revision: number): string =>
    createHmac('sha256', secret).update(`${effectKey}\n${revision}`).digest('base64url');
  const address = replyAddressOf(taskQueue);
  return {
    address,
    replyTo: ({ effectKey, revision }) => ({ address, token: tokenOf(effectKey, revision) }),
    isOurs: ({ effectKey, revision, token }) => {
      const expected = Buffer.from(tokenOf(effectKey, revision));
      const given = Buffer.from(token);
      return given.length === expected.length && timingSafeEqual(given, expected);
    },
  };
}

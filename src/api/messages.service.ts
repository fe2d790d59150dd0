import { Inject, Injectable } from '@nestjs/common';
import { v7 } from 'uuid';
import type { HalfMessageKey, PreparedMessage } from '../db/half-messages.js';
import { CHECK_PLAN, type Verdict } from '../saga/half-message.js';
import { isMessageId, isOutboxId, messageEffectKey, messageId } from '../saga/ids.js';
import { hashOf } from './canonical-json.js';
import type { HalfMessageView, PrepareRequest, VerdictView } from './half-message-schemas.js';
import type { OutboxMessageView } from './outbox-schemas.js';
import { PARTS, type ApiParts } from './parts.js';
import { ProblemError } from './problems.js';

/** A half message as a producer prepares it. */
export interface PrepareCall {
  readonly tenantId: string;
  readonly idempotencyKey: string;
  readonly body: PrepareRequest;
}

/** Takes half messages and verdicts, and tells what became of them. */
@Injectable()
export class MessagesService {
  constructor(@Inject(PARTS) private readonly parts: ApiParts) {}

  /**
   * Stores a half message, or finds the one that the same request was accepted for.
   *
   * @throws ProblemError `invalid-request` without a route, `idempotency-key-reused` when the key belongs to another request
   */
  async prepare({ tenantId, idempotencyKey, body }: PrepareCall): Promise<PreparedMessage> {
    const { ledger, halfMessages, config } = this.parts;
    const { type, payload, checkBackUrl, checkBackBatch: batch, immunityMs = CHECK_PLAN.firstMs } = body;
    if (!Object.hasOwn(config.routes, type)) throw noRoute();
    const requestHash = hashOf({ message: body });
    const message = await ledger.prepareHalfMessage({
      id: messageId(v7()),
      ...{ tenantId, idempotencyKey, requestHash, type, payload, checkBackUrl },
      plan: { ...CHECK_PLAN, firstMs: immunityMs, batch },
    });
    if (message.requestHash !== requestHash) {
      throw new ProblemError('idempotency-key-reused', 'this Idempotency-Key was accepted with another request');
    }
    if (!message.replayed) halfMessages.tellSoon(message);
    return message;
  }

  /**
   * Gives the producer's verdict.
   *
   * @throws ProblemError `not-found`, or `message-decided` when the other verdict stands
   */
  async decide(key: HalfMessageKey, verdict: Verdict): Promise<VerdictView> {
    const { ledger, halfMessages } = this.parts;
    const standing = isMessageId(key.messageId)
      ? await ledger.decideHalfMessage(key, { verdict, by: 'producer' })
      : undefined;
    if (!standing) throw unknownMessage();
    if (standing.isNew) halfMessages.tellSoon(standing);
    const view = {
      messageId: key.messageId,
      verdict: standing.verdict,
      decidedBy: standing.decidedBy,
      decidedAt: standing.decidedAt.toISOString(),
    };
    if (standing.verdict === verdict) return view;
    throw new ProblemError('message-decided', `the message is '${standing.verdict}' for good`, { members: view });
  }

  /** @throws ProblemError `not-found` */
  get(key: HalfMessageKey): Promise<HalfMessageView | OutboxMessageView> {
    return isOutboxId(key.messageId) ? this.getOutbox(key) : this.getHalf(key);
  }

  private async getHalf(key: HalfMessageKey): Promise<HalfMessageView> {
    const message = isMessageId(key.messageId) ? await this.parts.ledger.findHalfMessage(key) : undefined;
    if (!message) throw unknownMessage();
    const { uiUrl, namespace } = this.parts.config.temporal;
    const actions = await this.parts.ledger.listActions({ tenantId: key.tenantId, subjectId: key.messageId });
    return {
      ...message,
      effectKey: messageEffectKey(message.messageId),
      decidedAt: message.decidedAt?.toISOString() ?? null,
      preparedAt: message.preparedAt.toISOString(),
      updatedAt: message.updatedAt.toISOString(),
      finishedAt: message.finishedAt?.toISOString() ?? null,
      actions: [...actions],
      links: { temporal: `${uiUrl}/namespaces/${encodeURIComponent(namespace)}/workflows/${message.messageId}` },
    };
  }

  private async getOutbox(key: HalfMessageKey): Promise<OutboxMessageView> {
    const message = await this.parts.ledger.findOutboxMessage(key);
    if (!message) throw unknownMessage();
    return {
      ...message,
      messageId: key.messageId,
      effectKey: messageEffectKey(key.messageId),
      createdAt: message.createdAt.toISOString(),
      dueAt: message.dueAt?.toISOString() ?? null,
      finishedAt: message.finishedAt?.toISOString() ?? null,
    };
  }
}

function unknownMessage(): ProblemError {
  return new ProblemError('not-found', 'there is no such message');
}

function noRoute(): ProblemError {
  return new ProblemError('invalid-request', 'the body is not as documented', {
    errors: [{ pointer: '/type', detail: 'must be a message type that this installation has a route for' }],
  });
}

import { randomUUID } from 'node:crypto';
import { v7 } from 'uuid';
import { parkHalfMessage } from '../../src/db/half-message-work.js';
import { decideHalfMessage, prepareHalfMessage } from '../../src/db/half-messages.js';
import { CHECK_PLAN } from '../../src/saga/half-message.js';
import { messageId } from '../../src/saga/ids.js';
import type { TestApi } from './api.js';

/** What is different about a parked half message. */
export interface ParkedMessage {
  readonly tenantId?: string;
  /** Its reason's code. */
  readonly code?: string;
  /** Whether its producer has confirmed it. @default true */
  readonly isConfirmed?: boolean;
  /** When it was made, ms since the epoch. @default now */
  readonly madeMs?: number;
}

/** Parks a half message in the ledger; no workflow is there. */
export async function parkMessage(
  { pool }: Pick<TestApi, 'pool'>,
  { tenantId = 'default', code = 'unlucky', isConfirmed = true, madeMs = Date.now() }: ParkedMessage = {},
): Promise<string> {
  const id = messageId(v7({ msecs: madeMs }));
  await prepareHalfMessage(pool, {
    ...{ id, tenantId, idempotencyKey: id, requestHash: '', type: 'notes.write', payload: { amount: 13 } },
    ...{ checkBackUrl: 'http://127.0.0.1:1/', plan: CHECK_PLAN },
  });
  const key = { messageId: id, tenantId };
  if (isConfirmed) await decideHalfMessage(pool, key, { verdict: 'committed', by: 'producer' });
  const verdict = isConfirmed ? 'committed' : null;
  await parkHalfMessage(pool, id, { reason: { code, message: 'it cannot be' }, verdict });
  return id;
}

/** Asks the API for something, as an operator's program does. */
export async function ask<Answer = Record<string, unknown>>(
  url: string,
  path: string,
  { body, key }: { readonly body?: object; readonly key?: string } = {},
): Promise<{ readonly status: number; readonly body: Answer }> {
  const response = await fetch(`${url}${path}`, {
    method: body ? 'POST' : 'GET',
    headers: {
      ...(body && { 'content-type': 'application/json' }),
      ...(key !== undefined && { authorization: `Bearer ${key}` }),
    },
    body: body && JSON.stringify(body),
  });
  return { status: response.status, body: (await response.json()) as Answer };
}

/** The body of an action. */
export function actionBody(change: object): object {
  return { actionId: randomUUID(), actor: 'ann', reason: 'looked into it', ...change };
}

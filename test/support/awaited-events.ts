import type { EventWait } from '../../src/db/awaited-events.js';
import { GOOD_ORDER, postOrder, type TestApi } from './api.js';

/** What approves an order. */
export const APPROVAL = { approvedBy: 'ann', account: 'c-1' };

/** An answer to an event. */
export interface EventAnswered {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, unknown>;
}

/** Accepts an order that waits for an approval; no workflow is there. */
export async function acceptApproved({ url }: Pick<TestApi, 'url'>, headers?: Record<string, string>): Promise<string> {
  const response = await postOrder(url, { body: { ...GOOD_ORDER, needsApproval: true }, headers });
  return ((await response.json()) as { sagaId: string }).sagaId;
}

/** Sends an event, by default the approval that is waited for. */
export async function sendEvent(
  { url }: Pick<TestApi, 'url'>,
  sagaId: string,
  {
    name = 'order-approved',
    body = APPROVAL,
    headers = {},
  }: { name?: string; body?: unknown; headers?: Record<string, string> } = {},
): Promise<EventAnswered> {
  const response = await fetch(`${url}/v1/sagas/${sagaId}/events/${name}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  });
  return {
    status: response.status,
    headers: response.headers,
    body: (await response.json()) as Record<string, unknown>,
  };
}

/** The wait of an order for its approval, as the workflow asks for it. */
export function approvalWait(sagaId: string, change: Partial<EventWait> = {}): EventWait {
  return { sagaId, step: 'approval', event: 'order-approved', withinMs: 60_000, isFinal: true, ...change };
}

import { createHmac } from 'node:crypto';
import { Agent, request } from 'undici';

/** Where notices are sent, and what they are signed with. */
export interface WebhookSettings {
  readonly url: string;
  /** Keys; with several, each signs, so that one can be replaced without a gap. */
  readonly secrets: readonly Buffer[];
}

/** What came of one attempt. */
export type WebhookAnswer =
  | { readonly kind: 'delivered' }
  | { readonly kind: 'failed'; readonly error: string }
  /** 410: the other side wants no more of it. */
  | { readonly kind: 'gone'; readonly error: string };

/** Tells one address what people should hear of. */
export interface Webhook {
  /** @param id the same for each attempt: the receiver knows a repetition by it */
  send(id: string, body: object): Promise<WebhookAnswer>;
  close(): Promise<void>;
}

const TIMEOUT_MS = 10_000;

/** Makes a webhook as Standard Webhooks (1.0.0) has it. It follows no redirects: what is signed for one address goes to no other. */
export function createWebhook({ url, secrets }: WebhookSettings): Webhook {
  const agent = new Agent({ connect: { timeout: TIMEOUT_MS } });
  return {
    send: async (id, body) => {
      const text = JSON.stringify(body);
      const timestamp = Math.floor(Date.now() / 1_000);
      const headers = {
        'content-type': 'application/json',
        'user-agent': 'settle',
        'webhook-id': id,
        'webhook-timestamp': String(timestamp),
        'webhook-signature': signatures(secrets, { id, timestamp, body: text }),
      };
      try {
        const signal = AbortSignal.timeout(TIMEOUT_MS);
        const response = await request(url, { method: 'POST', headers, body: text, dispatcher: agent, signal });
        await response.body.dump();
        return answerOf(response.statusCode);
      } catch (error) {
        return { kind: 'failed', error: error instanceof Error ? error.message : String(error) };
      }
    },
    close: () => agent.close(),
  };
}

function answerOf(status: number): WebhookAnswer {
  if (status >= 200 && status < 300) return { kind: 'delivered' };
  return { kind: status === 410 ? 'gone' : 'failed', error: `answered ${status}` };
}

/**
 * What the header `webhook-signature` holds: one `v1` signature for each key.
 *
 * @param timestamp seconds since the epoch
 */
export function signatures(
  secrets: readonly Buffer[],
  { id, timestamp, body }: { readonly id: string; readonly timestamp: number; readonly body: string },
): string {
  const signed = `${id}.${timestamp}.${body}`;
  return secrets.map((secret) => `v1,${createHmac('sha256', secret).update(signed).digest('base64')}`).join(' ');
}

import type { Verdict } from '../saga/half-message.js';

/** How a producer reaches Settle. */
export interface SettleOptions {
  /** Of Settle's API, without a path. */
  readonly url: string;
  /** Where the installation asks for one. */
  readonly apiKey?: string;
  /** One request, in ms. @default 5000 */
  readonly timeoutMs?: number;
}

/** A half message as it is prepared. */
export interface Preparation {
  readonly key: string;
  readonly type: string;
  readonly payload: unknown;
  readonly checkBackUrl: string;
  /** How many messages the URL can be asked after in one request. @default 1 */
  readonly checkBackBatch?: number;
  readonly immunityMs?: number;
}

/** Thrown when Settle answers with a problem (RFC 9457). */
export class SettleProblem extends Error {
  override readonly name = 'SettleProblem';
  constructor(
    readonly status: number,
    /** The end of the problem's type, e.g. `message-decided`. */
    readonly code: string,
    detail: string,
  ) {
    super(detail);
  }
}

/** The two requests of a half message. */
export interface SettleClient {
  /** @returns the message's id @throws SettleProblem, or what the network throws: then it may or may not be prepared */
  prepare(message: Preparation): Promise<string>;
  /** @throws SettleProblem, or what the network throws: then the check-back decides */
  tell(messageId: string, verdict: Verdict): Promise<void>;
}

/** A client for `/v1/messages`. */
export function createSettleClient({ url, apiKey, timeoutMs = 5_000 }: SettleOptions): SettleClient {
  const post = async (path: string, headers: Record<string, string>, body?: object): Promise<unknown> => {
    const response = await fetch(new URL(path, url), {
      method: 'POST',
      headers: {
        ...headers,
        ...(body && { 'content-type': 'application/json' }),
        ...(apiKey !== undefined && { authorization: `Bearer ${apiKey}` }),
      },
      body: body && JSON.stringify(body),
      signal: AbortSignal.timeout(timeoutMs),
    });
    const answer = (await response.json()) as { type?: string; detail?: string };
    if (response.ok) return answer;
    const code = answer.type?.split('/').at(-1) ?? `http-${response.status}`;
    throw new SettleProblem(response.status, code, answer.detail ?? `Settle answered ${response.status}`);
  };
  return {
    prepare: async ({ key, ...message }) => {
      const answer = await post('/v1/messages', { 'idempotency-key': key }, message);
      return (answer as { messageId: string }).messageId;
    },
    tell: async (messageId, verdict) => {
      const word = verdict === 'committed' ? 'confirm' : 'rollback';
      await post(`/v1/messages/${encodeURIComponent(messageId)}/${word}`, {});
    },
  };
}

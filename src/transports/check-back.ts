import { Agent, request } from 'undici';
import { VERDICTS, type Verdict } from '../saga/half-message.js';

/** What a producer is asked: what became of the local transaction that this message belongs to. */
export interface CheckBackQuestion {
  readonly messageId: string;
  /** The Idempotency-Key under which the producer prepared it. */
  readonly key: string;
  /** The message type. */
  readonly type: string;
  readonly tenantId: string;
  /** ISO 8601. */
  readonly preparedAt: string;
}

/** What a producer says: `unknown` is an answer, silence is none. */
export type CheckBackAnswer =
  | { readonly kind: 'answered'; readonly verdict: Verdict | 'unknown' }
  | { readonly kind: 'unanswered'; readonly detail: string };

/** Asks producers. */
export interface CheckBackClient {
  /** Asks once; never throws for the network's sake. */
  ask(url: string, question: CheckBackQuestion, timeoutMs: number): Promise<CheckBackAnswer>;
  /** Lets what is under way finish, then closes every connection. */
  close(): Promise<void>;
}

const MAX_ANSWER_BYTES = 4 * 1024;

/**
 * Asks over HTTP: `POST` of the question, answered `200 {"verdict": "committed" | "rolled-back" | "unknown"}`.
 * Whatever else comes back is no answer; redirects are not followed.
 *
 * @param connections per origin at the most. @default 16
 */
export function createCheckBackClient(connections = 16): CheckBackClient {
  const agent = new Agent({ connections, pipelining: 1, keepAliveTimeout: 30_000, connect: { timeout: 2_000 } });
  return {
    ask: async (url, question, timeoutMs) => {
      try {
        const { statusCode, body } = await request(url, {
          method: 'POST',
          dispatcher: agent,
          headers: { 'content-type': 'application/json', accept: 'application/json' },
          body: JSON.stringify(question),
          signal: AbortSignal.timeout(timeoutMs),
        });
        const text = await readAtMost(body as AsyncIterable<Buffer>);
        return statusCode === 200 ? understand(text) : unanswered(`HTTP ${statusCode}`);
      } catch (error) {
        const { name, message } = error as Error;
        return unanswered(name === 'TimeoutError' ? `no answer within ${timeoutMs} ms` : message || name);
      }
    },
    close: () => agent.close(),
  };
}

function understand(text: string): CheckBackAnswer {
  const verdict = verdictIn(text);
  if (verdict === 'unknown') return { kind: 'answered', verdict };
  const known = VERDICTS.find((each) => each === verdict);
  return known ? { kind: 'answered', verdict: known } : unanswered('HTTP 200 without a verdict');
}

function verdictIn(text: string): unknown {
  try {
    return (JSON.parse(text) as { verdict?: unknown } | null)?.verdict;
  } catch {
    // what is no JSON holds no verdict
    return undefined;
  }
}

async function readAtMost(stream: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of stream) {
    size += chunk.length;
    if (size > MAX_ANSWER_BYTES) throw new RangeError(`the answer is longer than ${MAX_ANSWER_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function unanswered(detail: string): CheckBackAnswer {
  return { kind: 'unanswered', detail };
}

import { Agent, request } from 'undici';
import { createGatherer } from './gather.js';
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

/** A question, and where it is put. */
export interface CheckBack {
  readonly url: string;
  readonly question: CheckBackQuestion;
  readonly timeoutMs: number;
  /** How many questions the URL takes in one request. @default 1 */
  readonly batch?: number;
}

/** Asks producers. */
export interface CheckBackClient {
  /** Asks once; never throws for the network's sake. */
  ask(checkBack: CheckBack): Promise<CheckBackAnswer>;
  /** Lets what is under way finish, then closes every connection. */
  close(): Promise<void>;
}

/** For each message asked after. */
const MAX_ANSWER_BYTES = 4 * 1024;

/** How long a question waits for others to the same URL, in ms: little beside the seconds before a check. */
const GATHER_MS = 100;

/**
 * Asks over HTTP, one message or several at a time; whatever else comes back is no answer, and redirects are not followed.
 *
 * | `POST` | 200 |
 * |---|---|
 * | `{"messageId": …}` | `{"verdict": "committed" \| "rolled-back" \| "unknown"}` |
 * | `{"messages": [{"messageId": …}, …]}` | `{"verdicts": {"<messageId>": "committed" \| …}}` |
 *
 * @param connections per origin at the most. @default 16
 */
export function createCheckBackClient(connections = 16): CheckBackClient {
  const agent = new Agent({ connections, pipelining: 1, keepAliveTimeout: 30_000, connect: { timeout: 2_000 } });
  const askAll = async (together: readonly CheckBack[]): Promise<readonly CheckBackAnswer[]> => {
    const { url, timeoutMs } = together[0]!;
    const messages = together.map(({ question }) => question);
    const answer = await post(agent, {
      url,
      timeoutMs,
      body: { messages },
      maxBytes: messages.length * MAX_ANSWER_BYTES,
    });
    return messages.map(({ messageId }) => answerTo(answer, ({ verdicts }) => verdicts?.[messageId]));
  };
  const gather = createGatherer<CheckBack, CheckBackAnswer>(askAll, GATHER_MS);
  return {
    ask: async (checkBack) => {
      const { url, question, timeoutMs, batch = 1 } = checkBack;
      if (batch > 1) return gather(checkBack, { key: `${url} ${timeoutMs} ${batch}`, atMost: batch });
      const answer = await post(agent, { url, timeoutMs, body: question, maxBytes: MAX_ANSWER_BYTES });
      return answerTo(answer, ({ verdict }) => verdict);
    },
    close: () => agent.close(),
  };
}

interface Post {
  readonly url: string;
  readonly timeoutMs: number;
  readonly body: object;
  readonly maxBytes: number;
}

/** The members that an answer may have. */
interface Answer {
  readonly verdict?: unknown;
  readonly verdicts?: Readonly<Record<string, unknown>> | null;
}

/** @returns the answer, or why there is none */
async function post(agent: Agent, { url, timeoutMs, body, maxBytes }: Post): Promise<Answer | string> {
  try {
    const response = await request(url, {
      method: 'POST',
      dispatcher: agent,
      headers: { 'content-type': 'application/json', accept: 'application/json' },
      body: JSON.stringify(body),
      signal: AbortSignal.timeout(timeoutMs),
    });
    const text = await readAtMost(response.body as AsyncIterable<Buffer>, maxBytes);
    return response.statusCode === 200 ? parse(text) : `HTTP ${response.statusCode}`;
  } catch (error) {
    const { name, message } = error as Error;
    return name === 'TimeoutError' ? `no answer within ${timeoutMs} ms` : message || name;
  }
}

function parse(text: string): Answer {
  try {
    return (JSON.parse(text) as Answer | null) ?? {};
  } catch {
    // what is no JSON holds no verdict
    return {};
  }
}

function answerTo(answer: Answer | string, verdictIn: (answer: Answer) => unknown): CheckBackAnswer {
  if (typeof answer === 'string') return { kind: 'unanswered', detail: answer };
  const verdict = verdictIn(answer);
  if (verdict === 'unknown') return { kind: 'answered', verdict };
  const known = VERDICTS.find((each) => each === verdict);
  return known ? { kind: 'answered', verdict: known } : { kind: 'unanswered', detail: 'HTTP 200 without a verdict' };
}

async function readAtMost(stream: AsyncIterable<Buffer>, maxBytes: number): Promise<string> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of stream) {
    size += chunk.length;
    if (size > maxBytes) throw new RangeError(`the answer is longer than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

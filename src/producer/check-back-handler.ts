import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { MAX_BATCH } from '../saga/half-message.js';
import { isMessageId } from '../saga/ids.js';
import { answerCheckBack, answerCheckBacks, type ProducerDatabase } from './verdicts.js';

/** What a check-back handler needs. */
export interface CheckBackOptions {
  /** The database of the business rows. */
  readonly db: ProducerDatabase;
  /** Told of what could not be answered; Settle asks again. */
  readonly onError?: (error: unknown) => void;
}

/** Questions hold an Idempotency-Key, a type, a tenant: less than 1 KiB each. */
const MAX_BODY_BYTES = MAX_BATCH * 1024;

/**
 * A handler for `node:http` that answers check-backs from the verdict rows, tombstone first.
 *
 * | request | answer |
 * |---|---|
 * | POST `{"messageId": "msg_…"}` | 200 `{"verdict": "committed" \| "rolled-back" \| "unknown"}` |
 * | POST `{"messages": [{"messageId": "msg_…"}, …]}`, 100 at the most | 200 `{"verdicts": {"msg_…": "committed" \| …}}` |
 * | anything else | 400, 405, 413 |
 * | the database is away | 503: no answer, Settle asks again |
 *
 * @example createServer(createCheckBackHandler({ db: pool })).listen(8080);
 */
export function createCheckBackHandler(options: CheckBackOptions): RequestListener {
  return (request, response) => {
    answer(options, request).then(
      ([status, body]) => send(response, status, body),
      (error: unknown) => {
        options.onError?.(error);
        send(response, 503, { error: 'the verdict cannot be read now; ask again' });
      },
    );
  };
}

async function answer({ db }: CheckBackOptions, request: IncomingMessage): Promise<[status: number, body: object]> {
  if (request.method !== 'POST') return [405, { error: 'use POST' }];
  const body = await readAtMost(request);
  if (body === undefined) return [413, { error: `the body is longer than ${MAX_BODY_BYTES} bytes` }];
  const question = parse(body);
  // a tombstone for what is no message would stay for ever
  if (isQuestion(question)) return [200, { verdict: await answerCheckBack(db, question.messageId) }];
  const asked = question?.messages;
  if (!Array.isArray(asked) || asked.length > MAX_BATCH || !asked.every(isQuestion)) {
    return [400, { error: `the body must be JSON with 'messageId', or 'messages': ${MAX_BATCH} with one at the most` }];
  }
  const messageIds = asked.map(({ messageId }) => messageId);
  return [200, { verdicts: await answerCheckBacks(db, messageIds) }];
}

function parse(body: string): { messages?: unknown } | null {
  try {
    return JSON.parse(body) as { messages?: unknown } | null;
  } catch {
    return null;
  }
}

function isQuestion(question: unknown): question is { readonly messageId: string } {
  const messageId = (question as { messageId?: unknown } | null)?.messageId;
  return typeof messageId === 'string' && isMessageId(messageId);
}

async function readAtMost(request: IncomingMessage): Promise<string | undefined> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) return undefined;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function send(response: ServerResponse, status: number, body: object): void {
  const text = JSON.stringify(body);
  response.writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) });
  response.end(text);
}

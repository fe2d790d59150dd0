import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/**
 * A participant that does nothing but keep books, as a process of its own: it prints its port and ends when its input closes.
 * Messages say which batch they are of; `GET` answers with the {@link BatchBooks}, `DELETE` begins new ones.
 */

/** What has arrived of one batch. */
export interface BatchBooks {
  /** Different messages. */
  readonly messages: number;
  /** Deliveries beyond the first of each. */
  readonly repeats: number;
  /** When the first one came, ms since the epoch with fractions. */
  readonly firstAtMs: number;
}

const batches = new Map<string, { ids: Set<string>; repeats: number; firstAtMs: number }>();

function note(id: string, body: string): void {
  const batch = /"batch":\s*"([^"]*)"/.exec(body)?.[1] ?? '';
  const books = batches.get(batch) ?? {
    ids: new Set(),
    repeats: 0,
    firstAtMs: performance.timeOrigin + performance.now(),
  };
  batches.set(batch, books);
  if (books.ids.has(id)) books.repeats += 1;
  books.ids.add(id);
}

function booksAsJson(): string {
  const entries = [...batches].map(([batch, { ids, repeats, firstAtMs }]) => [
    batch,
    { messages: ids.size, repeats, firstAtMs } satisfies BatchBooks,
  ]);
  return JSON.stringify(Object.fromEntries(entries));
}

const server = createServer((request, response) => {
  if (request.method !== 'POST') {
    const body = booksAsJson();
    if (request.method === 'DELETE') batches.clear();
    response.end(body);
    return;
  }
  let body = '';
  request.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
  request.on('end', () => {
    note(request.headers['idempotency-key'] as string, body);
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}');
  });
});
server.keepAliveTimeout = 60_000;
server.listen(0, '127.0.0.1', () => process.stdout.write(`${(server.address() as AddressInfo).port}\n`));
process.stdin.on('end', () => process.exit(0)).resume();

import { createServer } from 'node:http';
import pg from 'pg';

/** What a program answers to. */
export interface Endpoints {
  /** `POST /v1/orders`: accepts an order. */
  accept(request: {
    readonly key: string;
    readonly body: string;
  }): Promise<{ readonly sagaId: string; readonly orderId: string }>;
  /** `GET /settled`: what has settled since it was last asked. @default there is no such path */
  readonly settled?: () => unknown;
}

/** Listens on 127.0.0.1, as plain as Node can. */
export function serve(port: number, { accept, settled }: Endpoints): void {
  const server = createServer((request, response) => {
    const answer = (status: number, body: unknown): void => {
      response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body));
    };
    if (request.method !== 'POST') {
      request.resume();
      if (request.url === '/health/ready') answer(200, { status: 'ok' });
      else if (request.url === '/settled' && settled) answer(200, settled());
      else answer(404, {});
      return;
    }
    let body = '';
    request.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
    request.on('end', () => {
      accept({ key: request.headers['idempotency-key'] as string, body }).then(
        ({ sagaId, orderId }) => answer(202, { sagaId, orderId, state: 'accepted' }),
        (error: unknown) => {
          process.stderr.write(`${String(error)}\n`);
          answer(500, {});
        },
      );
    });
  });
  server.keepAliveTimeout = 60_000;
  server.listen(port, '127.0.0.1');
}

/** A pool as large as Settle's, on the connections of one program. */
export function openPool(url: string): pg.Pool {
  const pool = new pg.Pool({ connectionString: url, max: 20, keepAlive: true });
  pool.on('error', (error) => void process.stderr.write(`${String(error)}\n`));
  return pool;
}

/** What the benchmark tells a program in its environment. */
export function readPlace(): {
  readonly port: number;
  readonly databaseUrl: string;
  readonly routes: Readonly<Record<string, string>>;
} {
  const { PORT, DATABASE_URL, BENCH_ROUTES } = process.env;
  const routes = JSON.parse(BENCH_ROUTES ?? '{}') as Record<string, string>;
  return { port: Number(PORT), databaseUrl: DATABASE_URL ?? '', routes };
}

import { request } from 'node:http';
import { connect } from 'node:net';

/** An answer, read to its end. */
export interface RawAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

/** What `fetch` would correct: headers in repeated lines, bodies of any bytes. */
export interface RawRequest {
  readonly method?: string;
  readonly path: string;
  /** Name, value, name, value, as they go out. */
  readonly headers?: readonly string[];
  readonly body?: string | Uint8Array;
}

/** Sends a request as it is given. */
export function send(baseUrl: string, { method = 'GET', path, headers = [], body }: RawRequest): Promise<RawAnswer> {
  const { hostname, port } = new URL(baseUrl);
  const length = body === undefined ? [] : ['content-length', String(Buffer.byteLength(body))];
  return new Promise((resolve, reject) => {
    const options = {
      hostname,
      port,
      method,
      path,
      headers: ['host', `${hostname}:${port}`, ...length, ...headers],
      agent: false,
    };
    const call = request(options, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString();
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text });
      });
    });
    call.on('error', reject);
    call.end(body);
  });
}

/** Writes bytes to a connection of its own and returns all that comes back until the server closes it. */
export function sendBytes(baseUrl: string, bytes: string): Promise<string> {
  const { hostname, port } = new URL(baseUrl);
  return new Promise((resolve) => {
    const socket = connect(Number(port), hostname, () => socket.write(bytes));
    let text = '';
    socket.on('data', (chunk: Buffer) => (text += chunk.toString()));
    // a reset after the answer is the server's right
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(text));
  });
}

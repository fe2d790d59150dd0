import { maxHeaderSize, STATUS_CODES } from 'node:http';
import { createHash, timingSafeEqual } from 'node:crypto';
import type { Socket } from 'node:net';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { keepDoor, type Shut } from './door.js';
import { MAX_BODY_BYTES, parseJsonBody } from './json-body.js';
import type { ApiParts } from './parts.js';
import { problemOf, sendProblem } from './problem.filter.js';
import { PROBLEM_TYPE, ProblemError, problemBody, type ProblemName } from './problems.js';
import { readTrace } from './request-headers.js';

declare module 'fastify' {
  interface FastifyRequest {
    /** Whose request it is: the API key's tenant, `default` without keys. */
    tenantId: string;
    /** For the log, once it is known. */
    sagaId?: string;
  }
}

/** A request that takes longer to arrive is cut off: a slow sender must not hold a connection for ever. */
const REQUEST_TIMEOUT_MS = 30_000;

/** The HTTP side below Nest: what a request must pass before a controller sees it, and what is noted of it after. */
export function createHttpAdapter(parts: ApiParts): FastifyAdapter {
  const adapter = new FastifyAdapter({
    bodyLimit: MAX_BODY_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    // what is accepted while stopping is still answered
    return503OnClosing: false,
    // no id is too long to be unknown: Node limits the whole of the headers to 16 KiB
    routerOptions: { maxParamLength: 16_384 },
    frameworkErrors: (error: Error, _request: unknown, reply: FastifyReply) => {
      const problem = problemOf(error);
      parts.metrics.countProblem(problem.problem);
      sendProblem(reply, problem);
    },
    clientErrorHandler: (error, socket) => refuseConnection(error as NodeJS.ErrnoException, socket as Socket),
  });
  const server = adapter.getInstance() as unknown as FastifyInstance;
  server.addHook('onRoute', (route) => parts.routes.add(route));
  server.decorateRequest('tenantId', 'default');
  acceptJsonOnly(server);
  addHooks(server, parts);
  keepDoor(server, { shutBy: createLook(parts), onRefused: () => parts.metrics.countProblem('backlog-full') });
  return adapter;
}

/** Looks whether what comes over an address finds a place, in line and in the lane that most of it takes. */
function createLook({ backlog, definitions, express }: ApiParts): (path: string) => Shut | undefined {
  const { placeOrder, payInvoice, registerUser } = definitions;
  const types = new Map([
    ['/v1/orders', placeOrder.type],
    ['/v1/payments', payInvoice.type],
    ['/v1/registrations', registerUser.type],
  ]);
  return (path) => {
    const place = express?.placeFor(types.get(path) ?? '');
    return place === 'full' ? 'lane' : backlog.isFull(place) ? 'line' : undefined;
  };
}

function acceptJsonOnly(server: FastifyInstance): void {
  server.removeAllContentTypeParsers();
  server.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
    try {
      const charset = /;\s*charset\s*=\s*"?([^";\s]*)/i.exec(request.headers['content-type'] ?? '')?.[1] ?? 'utf-8';
      if (!/^utf-?8$/i.test(charset)) throw new ProblemError('unsupported-media-type', 'the charset must be utf-8');
      done(null, parseJsonBody(body as Buffer));
    } catch (error) {
      done(error as Error);
    }
  });
  // some clients send an empty body in chunks where they have none to send
  server.addContentTypeParser('*', { parseAs: 'buffer' }, (_request, body, done) => {
    if (body.length === 0) done(null);
    else done(new ProblemError('unsupported-media-type', 'the content type must be application/json'));
  });
}

function addHooks(server: FastifyInstance, { config, metrics, logger }: ApiParts): void {
  const tenantOf = createTenantLookup(config.apiKeys);
  server.addHook('onRequest', (request, reply, done) => {
    void reply.header('x-content-type-options', 'nosniff');
    // the matched pattern, not the address, which can be written in many ways
    if (!request.routeOptions.url?.startsWith('/v1/')) return done();
    void reply.header('cache-control', 'no-store');
    const tenantId = tenantOf(request.headers.authorization);
    if (tenantId === undefined) return done(unauthorized());
    request.tenantId = tenantId;
    done(encodingProblem(request));
  });
  server.addHook('onResponse', (request, reply, done) => {
    const { method } = request;
    const route = request.routeOptions.url ?? '(none)';
    const status = reply.statusCode;
    const ms = Math.round(reply.elapsedTime * 10) / 10;
    metrics.observeRequest({ method: knownMethod(method), route, status, seconds: reply.elapsedTime / 1_000 });
    // neither the address nor any header: both may hold what must not be in a log
    const line = { method, route, status, ms, sagaId: request.sagaId, ...readTrace(request.raw) };
    // an overload is no time to write a line for each refusal: they are counted
    if (status === 503) logger.debug(line, 'request');
    else if (status >= 500) logger.warn(line, 'request');
    else if (method === 'POST') logger.info(line, 'request');
    else logger.debug(line, 'request');
    done();
  });
}

/** Any other method is a label that a client could invent. */
function knownMethod(method: string): string {
  return ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'].includes(method) ? method : 'other';
}

function encodingProblem({ headers }: FastifyRequest): ProblemError | undefined {
  const encoding = headers['content-encoding'];
  if (encoding === undefined || encoding === 'identity') return undefined;
  return new ProblemError('unsupported-media-type', 'the body must have no content encoding');
}

function unauthorized(): ProblemError {
  return new ProblemError('unauthorized', 'the header Authorization must hold a valid API key', {
    headers: { 'www-authenticate': 'Bearer realm="settle"' },
  });
}

/** Compares digests of equal length with every key, so that the time taken tells nothing about any. */
function createTenantLookup(apiKeys: ReadonlyMap<string, string>): (authorization?: string) => string | undefined {
  const digest = (key: string): Buffer => createHash('sha256').update(key).digest();
  const tenants = [...apiKeys].map(([key, tenantId]) => ({ digest: digest(key), tenantId }));
  if (tenants.length === 0) return () => 'default';
  return (authorization) => {
    const presented = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1];
    if (presented === undefined) return undefined;
    const sought = digest(presented);
    let found: string | undefined;
    for (const each of tenants) if (timingSafeEqual(each.digest, sought)) found = each.tenantId;
    return found;
  };
}

/** By Node's error codes. */
const UNREADABLE: Readonly<Record<string, readonly [ProblemName, string]>> = {
  HPE_HEADER_OVERFLOW: ['headers-too-large', `the headers are longer than ${maxHeaderSize} bytes`],
  ERR_HTTP_REQUEST_TIMEOUT: ['request-timeout', `the request was not whole within ${REQUEST_TIMEOUT_MS} ms`],
};

/** What Node's parser refuses never becomes a request: the answer is written to the connection, which is then closed. */
function refuseConnection({ code }: NodeJS.ErrnoException, socket: Socket): void {
  if (code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const [name, detail] = UNREADABLE[code ?? ''] ?? ['bad-http', 'the request could not be read'];
  const problem = new ProblemError(name, detail);
  const body = JSON.stringify(problemBody(problem));
  socket.end(
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}\r\nConnection: close\r\n` +
      `Content-Type: ${PROBLEM_TYPE}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    () => socket.destroy(),
  );
}

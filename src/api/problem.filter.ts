import {
  Catch,
  HttpException,
  Inject,
  NotFoundException,
  type ArgumentsHost,
  type ExceptionFilter,
} from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { isDatabaseUnavailable } from '../db/unavailable.js';
import { MAX_BODY_BYTES } from './json-body.js';
import { PARTS, type ApiParts } from './parts.js';
import { PROBLEM_TYPE, ProblemError, problemBody, type ProblemName } from './problems.js';

/** What Nest and Fastify refuse by themselves, and what there is to say of it. */
const BY_STATUS: Readonly<Record<number, readonly [name: ProblemName, detail?: string]>> = {
  404: ['not-found'],
  408: ['request-timeout'],
  413: ['body-too-large', `the body is longer than ${MAX_BODY_BYTES} bytes`],
  415: ['unsupported-media-type'],
  431: ['headers-too-large'],
};

/** Answers everything that is thrown as RFC 9457 problem details: one place, one shape, never a stack. */
@Catch()
export class ProblemFilter implements ExceptionFilter {
  constructor(@Inject(PARTS) private readonly parts: ApiParts) {}

  catch(thrown: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    const request = http.getRequest<FastifyRequest>();
    const problem = thrown instanceof NotFoundException ? this.unrouted(request) : problemOf(thrown);
    this.record(problem, thrown);
    sendProblem(http.getResponse<FastifyReply>(), problem);
  }

  /** No route: the address is wrong, or only the method. */
  private unrouted({ method, url }: FastifyRequest): ProblemError {
    const methods = this.parts.routes.methodsOf(url.split('?')[0]!);
    if (methods.length === 0)
      return new ProblemError('not-found', 'there is nothing at this address; /docs shows what there is');
    const allow = methods.join(', ');
    return new ProblemError('method-not-allowed', `${method} is not among ${allow}`, { headers: { allow } });
  }

  private record(problem: ProblemError, thrown: unknown): void {
    const { metrics, logger } = this.parts;
    metrics.countProblem(problem.problem);
    if (problem.problem === 'internal-error') logger.error({ failure: described(thrown) }, 'request failed');
    if (problem.problem === 'database-unavailable') logger.warn({ failure: described(thrown) }, 'ledger unavailable');
  }
}

/** The problem that something thrown amounts to. */
export function problemOf(thrown: unknown): ProblemError {
  if (thrown instanceof ProblemError) return thrown;
  if (isDatabaseUnavailable(thrown)) {
    return new ProblemError('database-unavailable', 'the ledger does not answer', { headers: { 'retry-after': '1' } });
  }
  const status = statusOf(thrown);
  if (status < 400 || status >= 500) return new ProblemError('internal-error', 'the request could not be handled');
  const [name, detail = 'the request was refused'] = BY_STATUS[status] ?? [
    'bad-http',
    'the request is not well-formed',
  ];
  return new ProblemError(name, detail);
}

/** Answers with a problem. */
export function sendProblem(reply: FastifyReply, problem: ProblemError): void {
  if (reply.sent || reply.raw.headersSent) {
    // an answer has begun: cutting it short tells the client that it is not complete
    reply.raw.destroy();
    return;
  }
  void reply
    .code(problem.status)
    .headers({ ...problem.options.headers, 'content-type': PROBLEM_TYPE })
    // as bytes: to text Fastify adds a charset, which the media type does not have
    .send(Buffer.from(JSON.stringify(problemBody(problem))));
}

function statusOf(thrown: unknown): number {
  if (thrown instanceof HttpException) return thrown.getStatus();
  const hasStatus = thrown instanceof Error && 'statusCode' in thrown && typeof thrown.statusCode === 'number';
  return hasStatus ? (thrown.statusCode as number) : 500;
}

/** For the log: never the fields in which a database error quotes the row. */
function described(thrown: unknown): object {
  if (!(thrown instanceof Error)) return { type: typeof thrown };
  const code = 'code' in thrown ? thrown.code : undefined;
  return { type: thrown.name, code, message: thrown.message, stack: thrown.stack };
}

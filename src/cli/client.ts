import type { ProblemBody } from '../api/problems.js';
import { UnreachableError } from './errors.js';

/** Where the API is, and how it knows us. */
export interface ClientSettings {
  readonly url: string;
  readonly apiKey?: string;
}

/** Asks the API; the answer is what its OpenAPI document says. */
export type Client = <Answer>(path: string, body?: object) => Promise<Answer>;

/** Longer than an operator's action waits for its workflow. */
const TIMEOUT_MS = 20_000;

/** Makes a client that throws one line for whatever goes wrong. */
export function createClient({ url, apiKey }: ClientSettings): Client {
  return async <Answer>(path: string, body?: object): Promise<Answer> => {
    const response = await fetch(url.replace(/\/+$/, '') + path, {
      method: body === undefined ? 'GET' : 'POST',
      headers: {
        ...(apiKey !== undefined && { authorization: `Bearer ${apiKey}` }),
        ...(body !== undefined && { 'content-type': 'application/json' }),
      },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    }).catch((cause: unknown) => {
      throw new UnreachableError(`the API at ${url} cannot be reached: ${reasonOf(cause)}; set --url or SETTLE_URL`, {
        cause,
      });
    });
    const answer: unknown = await response.json().catch(() => undefined);
    if (response.ok && answer !== undefined) return answer as Answer;
    throw new Error(describe(response.status, answer as ProblemBody | undefined));
  };
}

function describe(status: number, problem: ProblemBody | undefined): string {
  if (problem?.detail === undefined) return `the API answered ${status}, and not as Settle does; is the address right?`;
  const faults = (problem.errors ?? []).map(
    ({ pointer, parameter, detail }) => `${pointer ?? parameter ?? ''} ${detail}`,
  );
  const remedy = status === 401 ? ['set SETTLE_API_KEY'] : [];
  return [problem.detail, ...faults, ...remedy].join('; ');
}

function reasonOf(error: unknown): string {
  const { cause, message } = error as Error & { cause?: { code?: string; message?: string } };
  return cause?.code ?? cause?.message ?? message;
}

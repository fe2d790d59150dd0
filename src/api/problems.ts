/** One kind of problem: its name is the end of its `type`, and as stable. */
export interface ProblemKind {
  readonly status: number;
  /** The same for every occurrence. */
  readonly title: string;
  /** What the client can do, as `GET /problems/{name}` explains it. */
  readonly remedy: string;
}

/** Every problem that the API answers with (RFC 9457). */
export const PROBLEMS = {
  'invalid-request': {
    status: 400,
    title: 'The request is not as documented',
    remedy: 'Correct what `errors` lists; nothing was stored.',
  },
  'invalid-json': {
    status: 400,
    title: 'The body is not acceptable JSON',
    remedy: 'Send UTF-8 JSON, at most 32 levels deep, without members named `__proto__` or `constructor`.',
  },
  'invalid-idempotency-key': {
    status: 400,
    title: 'The Idempotency-Key is missing or malformed',
    remedy: 'Send the header once, with 1 to 255 visible ASCII characters; quotes around them are not part of the key.',
  },
  'bad-http': {
    status: 400,
    title: 'The request is not well-formed HTTP',
    remedy: 'Send a request line, headers and a body as RFC 9112 describes.',
  },
  unauthorized: {
    status: 401,
    title: 'A valid API key is required',
    remedy: 'Send `Authorization: Bearer <key>` with a key of this installation.',
  },
  'not-found': {
    status: 404,
    title: 'There is no such resource',
    remedy: 'Check the address and the id; what belongs to another tenant cannot be seen.',
  },
  'unknown-event': {
    status: 404,
    title: 'The saga does not wait for such an event',
    remedy: 'See `events` for the names of those that it takes.',
  },
  'method-not-allowed': {
    status: 405,
    title: 'The resource does not have this method',
    remedy: 'Use one of the methods in the header Allow.',
  },
  'request-timeout': {
    status: 408,
    title: 'The request did not arrive in time',
    remedy: 'Send it again, with the same Idempotency-Key.',
  },
  'order-rejected': {
    status: 409,
    title: 'The order was refused',
    remedy: 'See `reason`; the answer is final for this Idempotency-Key.',
  },
  'payment-rejected': {
    status: 409,
    title: 'The payment was refused',
    remedy: 'See `reason`; the answer is final for this Idempotency-Key.',
  },
  'registration-rejected': {
    status: 409,
    title: 'The registration was refused',
    remedy: 'See `reason`; the answer is final for this Idempotency-Key.',
  },
  'saga-settled': {
    status: 409,
    title: 'The saga has already settled',
    remedy: 'See `state`; a settled saga never changes again.',
  },
  'saga-held': {
    status: 409,
    title: 'The saga is done as a step of another',
    remedy: 'See `parent`: only that saga can take it back; cancel that one.',
  },
  'event-decided': {
    status: 409,
    title: 'The event has come with another body',
    remedy: 'The first one counts; nothing was changed.',
  },
  'event-too-late': {
    status: 409,
    title: 'The saga no longer waits for this event',
    remedy: 'See `reason`; nothing was changed.',
  },
  'message-decided': {
    status: 409,
    title: 'The message has already been decided',
    remedy: 'See `verdict`; the first verdict is final, and its producer must hold to it.',
  },
  'action-not-legal': {
    status: 409,
    title: 'The action is not possible now',
    remedy: 'See `legal` for what may be done about each parked step; nothing was changed.',
  },
  'may-repeat-effect': {
    status: 409,
    title: 'The action may repeat an effect that participants have forgotten',
    remedy:
      'Make sure that it was not applied, then send the action again with `mayRepeat: true`; nothing was changed.',
  },
  'repair-not-as-previewed': {
    status: 409,
    title: 'The confirmation is of another preview',
    remedy: 'Look at the repair again, then confirm it with its `etag` and `count`; nothing was changed.',
  },
  'repair-ended': {
    status: 409,
    title: 'The repair is over',
    remedy: 'See `state`; preview another one for what is still parked.',
  },
  'body-too-large': { status: 413, title: 'The body is too large', remedy: 'Send at most 64 KiB.' },
  'unsupported-media-type': {
    status: 415,
    title: 'The body has another media type than expected',
    remedy: 'Send `Content-Type: application/json`, in UTF-8 and without a content encoding.',
  },
  'idempotency-key-reused': {
    status: 422,
    title: 'The Idempotency-Key belongs to another request',
    remedy: 'Use a new key for a new request; nothing was changed.',
  },
  'action-id-reused': {
    status: 422,
    title: 'The actionId belongs to another action',
    remedy: 'Use a new id for a new action; nothing was changed.',
  },
  'headers-too-large': { status: 431, title: 'The headers are too large', remedy: 'Send at most 16 KiB of headers.' },
  'internal-error': {
    status: 500,
    title: 'Something went wrong here',
    remedy: 'Send the request again with the same Idempotency-Key; tell the operators if it stays.',
  },
  'backlog-full': {
    status: 503,
    title: 'Too many sagas wait, or are under way',
    remedy:
      'Send the request again after Retry-After, with the same Idempotency-Key: this one stored nothing, an earlier one may have.',
  },
  'database-unavailable': {
    status: 503,
    title: 'The ledger cannot be reached',
    remedy:
      'Send the request again after Retry-After, with the same Idempotency-Key: it may or may not have been stored.',
  },
  'too-many-streams': {
    status: 503,
    title: 'Too many event streams are open',
    remedy: 'Open the stream again after Retry-After, or poll `GET /v1/sagas/{id}`.',
  },
} as const satisfies Record<string, ProblemKind>;

/** The name of a problem. */
export type ProblemName = keyof typeof PROBLEMS;

/** One thing that is wrong with a request, and where: in the body, a query parameter or a header. */
export interface Fault {
  /** What must hold, never the value that does not. */
  readonly detail: string;
  /** JSON Pointer (RFC 6901) into the body. */
  readonly pointer?: string;
  readonly parameter?: string;
  readonly header?: string;
}

/** What an occurrence of a problem adds to its kind. */
export interface ProblemOptions extends ErrorOptions {
  readonly errors?: readonly Fault[];
  /** Response headers, e.g. `retry-after`. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Further members of the answer, e.g. `reason`. */
  readonly members?: Readonly<Record<string, unknown>>;
}

/** Thrown where a request ends in a problem; the problem filter answers it. */
export class ProblemError extends Error {
  override readonly name = 'ProblemError';
  readonly status: number;
  constructor(
    readonly problem: ProblemName,
    detail: string,
    readonly options: ProblemOptions = {},
  ) {
    super(detail, options);
    this.status = PROBLEMS[problem].status;
  }
}

/** The body of a problem answer. */
export interface ProblemBody {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly errors?: readonly Fault[];
  readonly [member: string]: unknown;
}

/** The media type of every answer of 400 and above. */
export const PROBLEM_TYPE = 'application/problem+json';

/** The stable URI of a problem. */
export function problemUri(name: ProblemName): string {
  return `/problems/${name}`;
}

/** The answer's body. */
export function problemBody({ problem, message, options }: ProblemError): ProblemBody {
  const { status, title } = PROBLEMS[problem];
  return { type: problemUri(problem), title, status, detail: message, errors: options.errors, ...options.members };
}

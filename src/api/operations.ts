import { z } from 'zod';
import { halfMessageOperations } from './half-message-operations.js';
import { PROBLEMS, type ProblemName } from './problems.js';
import { SagaQuery, type ComponentName } from './schemas.js';

/** A parameter of an operation. */
export interface Parameter {
  readonly name: string;
  readonly place: 'path' | 'query' | 'header';
  /** @default false, except in the path */
  readonly required?: boolean;
  readonly description: string;
  readonly schema: object;
}

/** An answer below 400. */
export interface Answer {
  readonly status: number;
  readonly description: string;
  readonly schema?: ComponentName | object;
  /** @default 'application/json' */
  readonly mediaType?: string;
  /** Name → what it holds. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** One method of one path, as the OpenAPI document describes it. */
export interface Operation {
  readonly method: 'get' | 'post';
  /** With parameters in braces. */
  readonly path: string;
  readonly id: string;
  readonly tag: string;
  readonly summary: string;
  readonly parameters?: readonly Parameter[];
  readonly body?: { readonly schema: ComponentName; readonly required: boolean };
  readonly answers: readonly Answer[];
  readonly problems: readonly ProblemName[];
}

/** What every request may meet. */
const ALWAYS: readonly ProblemName[] = ['bad-http', 'request-timeout', 'headers-too-large', 'internal-error'];
/** What every request of the API proper may meet. */
export const V1: readonly ProblemName[] = [...ALWAYS, 'unauthorized', 'database-unavailable', 'unsupported-media-type'];
/** The same for one with a body. */
export const WITH_BODY: readonly ProblemName[] = [...V1, 'invalid-request', 'invalid-json', 'body-too-large'];

const text = { type: 'string' };

/** In the path. */
export const SAGA_ID: Parameter = { name: 'id', place: 'path', description: "The saga's id.", schema: text };
/** Taken by every request that changes something. */
export const TRACE: Parameter = {
  name: 'traceparent',
  place: 'header',
  description: 'W3C trace context; it is noted in the log, and handed on with each message of a saga.',
  schema: text,
};

const KEY: Parameter = {
  name: 'Idempotency-Key',
  place: 'header',
  required: true,
  description: 'Names the request: the same key with the same body brings the same answer, and never a second saga.',
  schema: { type: 'string', minLength: 1, maxLength: 255, pattern: '^[\\x21-\\x7e]+$' },
};
const PREFER: Parameter = {
  name: 'Prefer',
  place: 'header',
  description: '`wait=<seconds>`, 1 to 30: answer after the local transaction.',
  schema: { type: 'string', examples: ['wait=5'] },
};
const REPLAYED = { 'Idempotent-Replayed': '`true` when the key was accepted before; absent otherwise.' };

const QUERY_TEXT: Readonly<Record<string, string>> = {
  type: 'Only sagas of this type.',
  state: 'Only sagas in this state.',
  key: 'Only sagas with this business key, e.g. an order id.',
  cursor: 'The `next` of the page before; opaque.',
  limit: 'How many, 1 to 200.',
};

const querySchema = z.toJSONSchema(SagaQuery, { io: 'input' });
const QUERY: readonly Parameter[] = Object.entries(querySchema.properties ?? {}).map(([name, schema]) => ({
  name,
  place: 'query',
  description: QUERY_TEXT[name] ?? name,
  schema: schema as object,
}));

/** Of a list that has no other conditions. */
export function pageParameters(): readonly Parameter[] {
  return QUERY.filter(({ name }) => name === 'cursor' || name === 'limit');
}

/** Every operation of the API, but those of operators. */
export const OPERATIONS: readonly Operation[] = [
  ...scenario({
    name: 'order',
    id: 'placeOrder',
    parameter: 'orderId',
    summary: 'Places an order: accepted durably, then completed in every service or undone in every service.',
    schemas: { request: 'OrderRequest', accepted: 'Accepted', done: 'PlacedOrder', view: 'Order' },
    rejected: 'order-rejected',
  }),
  ...scenario({
    name: 'payment',
    id: 'payInvoice',
    parameter: 'paymentId',
    summary: 'Pays an invoice: the money is set aside, then taken; until it is taken everything can be undone.',
    schemas: { request: 'PaymentRequest', accepted: 'PaymentAccepted', done: 'OpenedPayment', view: 'Payment' },
    rejected: 'payment-rejected',
  }),
  ...scenario({
    name: 'registration',
    id: 'registerUser',
    parameter: 'userId',
    summary: 'Registers a user with profile, preferences and a welcome credit, or not at all.',
    schemas: {
      request: 'RegistrationRequest',
      accepted: 'RegistrationAccepted',
      done: 'RegisteredUser',
      view: 'Registration',
    },
    rejected: 'registration-rejected',
  }),
  ...halfMessageOperations({
    ...{ idempotencyKey: KEY, trace: TRACE, replayed: REPLAYED, v1: V1, withBody: WITH_BODY },
  }),
  {
    method: 'get',
    path: '/v1/sagas',
    id: 'listSagas',
    tag: 'sagas',
    summary: 'Sagas, newest first.',
    parameters: QUERY,
    answers: [{ status: 200, description: 'A page of sagas.', schema: 'SagaPage' }],
    problems: [...V1, 'invalid-request'],
  },
  {
    method: 'get',
    path: '/v1/sagas/{id}',
    id: 'getSaga',
    tag: 'sagas',
    summary: 'A saga with its steps.',
    parameters: [SAGA_ID],
    answers: [{ status: 200, description: 'The saga.', schema: 'Saga' }],
    problems: [...V1, 'not-found'],
  },
  {
    method: 'get',
    path: '/v1/sagas/{id}/events',
    id: 'streamSagaEvents',
    tag: 'sagas',
    summary: "A saga's changes of state as server-sent events: past ones first; ends after the terminal one.",
    parameters: [
      SAGA_ID,
      {
        name: 'Last-Event-ID',
        place: 'header',
        description: 'Only events after this one.',
        schema: { type: 'string', pattern: '^\\d{1,15}$' },
      },
    ],
    answers: [
      {
        status: 200,
        description: 'Events named `state`; their data is a `SagaEvent` in JSON.',
        schema: text,
        mediaType: 'text/event-stream',
      },
      { status: 204, description: 'The saga has settled and every event is known.' },
    ],
    problems: [...V1, 'invalid-request', 'not-found', 'too-many-streams'],
  },
  {
    method: 'post',
    path: '/v1/sagas/{id}/cancel',
    id: 'cancelSaga',
    tag: 'sagas',
    summary: 'Asks a saga to compensate.',
    parameters: [SAGA_ID, TRACE],
    body: { schema: 'CancelRequest', required: false },
    answers: [{ status: 202, description: 'The request is durable.', schema: 'Cancel' }],
    problems: [...WITH_BODY, 'not-found', 'saga-settled', 'saga-held'],
  },
  {
    method: 'get',
    path: '/problems/{name}',
    id: 'explainProblem',
    tag: 'problems',
    summary: 'What a problem type means, and what to do about it.',
    parameters: [
      {
        name: 'name',
        place: 'path',
        description: 'The end of the `type`.',
        schema: { type: 'string', enum: Object.keys(PROBLEMS) },
      },
    ],
    answers: [{ status: 200, description: 'The problem type.', schema: 'ProblemKind' }],
    problems: [...ALWAYS, 'not-found'],
  },
  {
    method: 'get',
    path: '/health/live',
    id: 'isLive',
    tag: 'health',
    summary: 'Whether the process runs.',
    answers: [{ status: 200, description: 'It does.', schema: 'Health' }],
    problems: ALWAYS,
  },
  {
    method: 'get',
    path: '/health/ready',
    id: 'isReady',
    tag: 'health',
    summary: 'Whether requests can be accepted.',
    answers: [{ status: 200, description: 'They can; without Temporal they wait for it.', schema: 'Health' }],
    problems: [...ALWAYS, 'database-unavailable'],
  },
  {
    method: 'get',
    path: '/metrics',
    id: 'getMetrics',
    tag: 'health',
    summary: 'Counts and durations in the format of Prometheus.',
    answers: [{ status: 200, description: 'The metrics.', schema: text, mediaType: 'text/plain' }],
    problems: ALWAYS,
  },
];

interface Scenario {
  /** Its singular; the path has the plural. */
  readonly name: 'order' | 'payment' | 'registration';
  readonly id: string;
  readonly parameter: string;
  readonly summary: string;
  readonly schemas: Readonly<Record<'request' | 'accepted' | 'done' | 'view', ComponentName>>;
  readonly rejected: ProblemName;
}

/** The two operations that every scenario has: start its saga, look at what came of it. */
function scenario({ name, id, parameter, summary, schemas, rejected }: Scenario): readonly Operation[] {
  const path = `/v1/${name}s`;
  return [
    {
      method: 'post',
      path,
      id,
      tag: `${name}s`,
      summary,
      parameters: [KEY, PREFER, TRACE],
      body: { schema: schemas.request, required: true },
      answers: [
        {
          status: 201,
          description: 'The local transaction has committed within the wait that was preferred.',
          schema: schemas.done,
          headers: { Location: `The ${name}.`, 'Preference-Applied': 'The wait.', ...REPLAYED },
        },
        {
          status: 202,
          description: 'Accepted.',
          schema: schemas.accepted,
          headers: { Location: 'The saga.', ...REPLAYED },
        },
      ],
      problems: [...WITH_BODY, 'invalid-idempotency-key', rejected, 'idempotency-key-reused', 'backlog-full'],
    },
    {
      method: 'get',
      path: `${path}/{${parameter}}`,
      id: `get${name[0]!.toUpperCase()}${name.slice(1)}`,
      tag: `${name}s`,
      summary: `A ${name} as it is now.`.replace('A order', 'An order'),
      parameters: [{ name: parameter, place: 'path', description: 'The id that the POST answered.', schema: text }],
      answers: [{ status: 200, description: `The ${name}.`, schema: schemas.view }],
      problems: [...V1, 'not-found'],
    },
  ];
}

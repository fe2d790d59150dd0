import { z } from 'zod';
import type { ContractTable } from '../saga/contracts.js';
import type { MessageContract } from '../saga/message-contract.js';
import type { BrokerRoute, HttpRoute, Route, Routes } from '../transports/transport.js';

/** An AsyncAPI 3.0 document, as far as its parts are read here. */
export interface AsyncApiDocument {
  readonly asyncapi: string;
  readonly channels: Readonly<Record<string, Channel>>;
  readonly operations: Readonly<Record<string, object>>;
  readonly components: { readonly schemas: Readonly<Record<string, object>>; readonly messages: object };
  readonly [member: string]: unknown;
}

interface Channel {
  readonly address: string;
  readonly messages: Readonly<Record<string, Reference>>;
  readonly [member: string]: unknown;
}

interface Reference {
  readonly $ref: string;
}

/** What the document tells of. */
export interface AsyncApiOptions {
  readonly contracts: ContractTable;
  readonly routes: Routes;
  /** Where participants send their outcomes; every message names it too. */
  readonly replyAddress: string;
}

const CLOUD_EVENT = 'CloudEvent';
const REPLY = 'settle.reply';

/** AsyncAPI's word for each transport; RocketMQ has none of its own in the specification's list, and the list is open. */
const PROTOCOLS: Readonly<Record<Route['transport'], string>> = {
  http: 'http',
  rabbitmq: 'amqp',
  kafka: 'kafka',
  rocketmq: 'rocketmq',
  redis: 'redis',
};

/**
 * What Settle sends and what it hears, for those who write participants: channels and transports from the routes, payloads from the
 * message contracts that the sagas' own types come from.
 *
 * @see https://www.asyncapi.com/docs/reference/specification/v3.0.0
 */
export function asyncApiDocument({ contracts, routes, replyAddress }: AsyncApiOptions): AsyncApiDocument {
  const routed = [...contracts.values()].filter(({ type }) => Object.hasOwn(routes, type));
  const transports = [...new Set(routed.map(({ type }) => routes[type]!.transport))];
  const brokers = transports.filter((transport) => transport !== 'http');
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'Settle messages',
      version: '1',
      description:
        'CloudEvents 1.0. A message is applied at most once per `effectkey`; its outcome goes to `replyto` with its `replytoken`.',
    },
    defaultContentType: 'application/json',
    channels: {
      ...channelsOf(routed, routes),
      ...Object.fromEntries(
        brokers.map((transport) => [replyChannelId(transport), replyChannel(transport, replyAddress)]),
      ),
    },
    operations: Object.fromEntries(routed.map((contract) => [`send.${contract.type}`, sending(contract, routes)])),
    components: {
      messages: {
        ...Object.fromEntries(routed.map((contract) => [contract.type, messageOf(contract, routes[contract.type]!)])),
        ...(brokers.length > 0 && { [REPLY]: REPLY_MESSAGE }),
      },
      schemas: { ...SCHEMAS, ...Object.fromEntries(routed.flatMap(schemasOf)) },
    },
  };
}

/** One channel for each destination, and for each URL. */
function channelsOf(contracts: readonly MessageContract<never>[], routes: Routes): Record<string, Channel> {
  const channels: Record<string, Channel> = {};
  for (const { type } of contracts) {
    const route = routes[type]!;
    const id = channelIdOf(route);
    channels[id] = {
      address: addressOf(route),
      title: `${PROTOCOLS[route.transport]}: ${addressOf(route)}`,
      messages: { ...channels[id]?.messages, [type]: refTo('messages', type) },
    };
  }
  return channels;
}

function replyChannel(transport: string, address: string): Channel {
  return { address, title: `${transport}: outcomes`, messages: { [REPLY]: refTo('messages', REPLY) } };
}

/** @returns the operation that sends one type; over a broker with the reply that answers it */
function sending({ type, fireAndForget }: MessageContract<never>, routes: Routes): object {
  const route = routes[type]!;
  const channel = { $ref: `#/channels/${channelIdOf(route)}` };
  const reply = { $ref: `#/channels/${replyChannelId(route.transport)}` };
  const isAnswered = route.transport !== 'http' && fireAndForget !== true;
  return {
    action: 'send',
    channel,
    messages: [{ $ref: `${channel.$ref}/messages/${type}` }],
    ...(isAnswered && {
      reply: {
        address: {
          location: '$message.payload#/replyto',
          description: 'With the `replytoken` that the message brought.',
        },
        channel: reply,
        messages: [{ $ref: `${reply.$ref}/messages/${REPLY}` }],
      },
    }),
  };
}

function messageOf({ type }: MessageContract<never>, route: Route): object {
  const isBinary = route.transport === 'http' || route.mode === 'binary';
  const payload = refTo('schemas', `${type}.payload`);
  return {
    name: type,
    contentType: isBinary ? 'application/json' : 'application/cloudevents+json',
    payload: isBinary
      ? payload
      : { allOf: [refTo('schemas', CLOUD_EVENT), { properties: { type: { const: type }, data: payload } }] },
    ...(isBinary && { description: 'Binary mode: the attributes of a CloudEvent are headers.' }),
  };
}

function schemasOf({ type, payload, result }: MessageContract<never>): [string, object][] {
  const schemaOf = (schema: z.ZodType): object => {
    // draft 7 is AsyncAPI's own dialect
    const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: 'input', target: 'draft-7', unrepresentable: 'any' });
    return rest;
  };
  return [
    [`${type}.payload`, schemaOf(payload as z.ZodType)],
    [`${type}.result`, schemaOf(result as z.ZodType)],
  ];
}

function channelIdOf(route: Route): string {
  return `${route.transport}.${addressOf(route)}`.replace(/[^\w.-]+/g, '-');
}

function replyChannelId(transport: string): string {
  return `${transport}.replies`;
}

function addressOf(route: HttpRoute | BrokerRoute): string {
  return route.transport === 'http' ? new URL(route.url).pathname : route.to;
}

function refTo(kind: 'messages' | 'schemas', name: string): Reference {
  return { $ref: `#/components/${kind}/${name}` };
}

const TEXT = { type: 'string', minLength: 1 } as const;

const ATTRIBUTES = {
  specversion: { const: '1.0' },
  id: { ...TEXT, description: 'The message’s own id.' },
  source: { ...TEXT, description: 'Who sends, e.g. `/settle/place-order`.' },
  type: TEXT,
  time: { type: 'string', format: 'date-time' },
  datacontenttype: { const: 'application/json' },
} as const;

const SCHEMAS: Readonly<Record<string, object>> = {
  [CLOUD_EVENT]: {
    type: 'object',
    required: ['specversion', 'id', 'source', 'type', 'sagaid', 'tenantid', 'effectkey', 'revision', 'data'],
    properties: {
      ...ATTRIBUTES,
      sagaid: TEXT,
      tenantid: TEXT,
      effectkey: { ...TEXT, description: 'The idempotency key: what an inbox records.' },
      revision: {
        type: 'string',
        pattern: '^\\d{1,9}$',
        description: 'Only a higher one runs again over a rejection.',
      },
      mayrepeat: { type: 'string', description: 'The revision that an operator lets repeat its effect.' },
      partitionkey: { ...TEXT, description: 'Messages of one key keep their order where the route says so.' },
      replyto: { ...TEXT, description: 'Where the outcome goes; absent: nobody waits for it.' },
      replytoken: { ...TEXT, description: 'Sent back as it is.' },
      traceparent: TEXT,
    },
  },
  [REPLY]: {
    type: 'object',
    required: ['specversion', 'id', 'source', 'type', 'effectkey', 'revision', 'replytoken', 'data'],
    properties: {
      ...ATTRIBUTES,
      type: { const: REPLY },
      effectkey: TEXT,
      revision: TEXT,
      replytoken: TEXT,
      data: {
        oneOf: [
          { type: 'object', required: ['outcome'], properties: { outcome: { const: 'done' }, result: true } },
          {
            type: 'object',
            required: ['outcome', 'reason'],
            properties: {
              outcome: { const: 'rejected' },
              reason: { type: 'object', required: ['code', 'message'], properties: { code: TEXT, message: TEXT } },
            },
          },
          {
            type: 'object',
            required: ['outcome'],
            properties: { outcome: { const: 'working' }, retryAfterMs: { type: 'number', minimum: 0 } },
          },
        ],
      },
    },
  },
};

const REPLY_MESSAGE = {
  name: REPLY,
  contentType: 'application/cloudevents+json',
  payload: refTo('schemas', REPLY),
} as const;

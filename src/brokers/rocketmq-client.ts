import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import type * as Grpc from '@grpc/grpc-js';
import type { CallOptions, ClientDuplexStream, Metadata, ServiceError } from '@grpc/grpc-js';
import definitions from 'rocketmq-client-nodejs/proto/apache/rocketmq/v2/definition_pb.js';
import type { Status } from 'rocketmq-client-nodejs/proto/apache/rocketmq/v2/definition_pb.js';
import stubs from 'rocketmq-client-nodejs/proto/apache/rocketmq/v2/service_grpc_pb.js';
import type { MessagingServiceClient } from 'rocketmq-client-nodejs/proto/apache/rocketmq/v2/service_grpc_pb.js';
import type * as messages from 'rocketmq-client-nodejs/proto/apache/rocketmq/v2/service_pb.js';
import { requireFromStubs } from './rocketmq-values.js';

const grpc = requireFromStubs('@grpc/grpc-js') as typeof Grpc;

/** The protocol's calls that have one answer: what is asked and what comes back. */
interface Calls {
  queryRoute: [messages.QueryRouteRequest, messages.QueryRouteResponse];
  heartbeat: [messages.HeartbeatRequest, messages.HeartbeatResponse];
  sendMessage: [messages.SendMessageRequest, messages.SendMessageResponse];
  ackMessage: [messages.AckMessageRequest, messages.AckMessageResponse];
  changeInvisibleDuration: [messages.ChangeInvisibleDurationRequest, messages.ChangeInvisibleDurationResponse];
  endTransaction: [messages.EndTransactionRequest, messages.EndTransactionResponse];
  notifyClientTermination: [messages.NotifyClientTerminationRequest, messages.NotifyClientTerminationResponse];
}

/** Who asks, and how long the answer may take. */
export interface CallContext {
  readonly clientId: string;
  readonly timeoutMs: number;
}

/** A channel to a proxy, shared by all that one `Broker` does. */
export interface RocketMqClient {
  /**
   * @throws StatusError when the answer is a refusal
   * @throws Error of gRPC, with its `code`, when there is none
   */
  call<M extends keyof Calls>(method: M, request: Calls[M][0], context: CallContext): Promise<Calls[M][1]>;
  /** Asks for messages, many at the most, and waits for the first as the request says. */
  receive(
    request: messages.ReceiveMessageRequest,
    context: CallContext,
  ): AsyncIterable<messages.ReceiveMessageResponse>;
  /** Opens the stream on which a client tells what it is and is told what to do. */
  telemetry(clientId: string): ClientDuplexStream<messages.TelemetryCommand, messages.TelemetryCommand>;
  /** A name under which the proxy knows one producer or consumer. */
  createClientId(): string;
  /** What is under way ends with its own time limit. */
  close(): void;
}

/** Thrown when the proxy answers with anything but success. */
export class StatusError extends Error {
  override readonly name = 'StatusError';
  constructor(
    readonly code: number,
    message: string,
  ) {
    super(message);
  }
}

/** Time-outs in a row after which the connection is held for dead, though nobody has closed it. */
const DEAD_AFTER = 5;

const CHANNEL = {
  // a message of 4 MiB and its headers are more than gRPC takes by default
  'grpc.max_receive_message_length': -1,
  'grpc.initial_reconnect_backoff_ms': 200,
  'grpc.min_reconnect_backoff_ms': 200,
  // two minutes by default: too long for a server that was away for one
  'grpc.max_reconnect_backoff_ms': 2_000,
  // a channel that replaces a dead one must not inherit its connection
  'grpc.use_local_subchannel_pool': 1,
};

/**
 * Makes a client of the stubs that rocketmq-client-nodejs brings; connects with the first call, and again whenever it must.
 * Its producers and consumers are left aside: they cannot be shut down while the server is away.
 *
 * @param address `host:port` of a proxy
 */
export function createRocketMqClient(address: string): RocketMqClient {
  let stub = openStub(address);
  let timeouts = 0;
  const note = (code: number | undefined): void => {
    timeouts = code === grpc.status.DEADLINE_EXCEEDED ? timeouts + 1 : 0;
    if (timeouts < DEAD_AFTER) return;
    timeouts = 0;
    stub.close();
    stub = openStub(address);
  };
  let count = 0;
  const prefix = `${hostname()}@${process.pid}@${randomBytes(4).toString('hex')}`;
  return {
    call: async (method, request, { clientId, timeoutMs }) => {
      const call = stub[method].bind(stub) as unknown as UnaryCall<typeof request, Calls[typeof method][1]>;
      const answer = await new Promise<Calls[typeof method][1]>((resolve, reject) => {
        call(request, metadataOf(clientId), { deadline: Date.now() + timeoutMs }, (error, value) => {
          note(error?.code);
          if (error) reject(error);
          else resolve(value!);
        });
      });
      checkStatus(answer.getStatus());
      return answer;
    },
    receive: (request, { clientId, timeoutMs }) => {
      const stream = stub.receiveMessage(request, metadataOf(clientId), { deadline: Date.now() + timeoutMs });
      // whoever has stopped reading hears no error, and an error that nobody hears would end the process
      stream.on('error', () => undefined);
      return stream;
    },
    telemetry: (clientId) => stub.telemetry(metadataOf(clientId)),
    createClientId: () => `${prefix}@${count++}`,
    close: () => stub.close(),
  };
}

/**
 * Lets success pass.
 *
 * @throws StatusError
 */
export function checkStatus(status: Status | undefined): void {
  const code = status?.getCode() ?? definitions.Code.OK;
  if (code === definitions.Code.OK || code === definitions.Code.MULTIPLE_RESULTS) return;
  const text = status!.getMessage().split('\n', 1)[0]!;
  throw new StatusError(code, text.replace(/^(?:[\w.]+Exception: )+|CODE: \d+ +DESC: /g, ''));
}

type UnaryCall<Q, A> = (
  ...call: [
    request: Q,
    metadata: Metadata,
    options: Partial<CallOptions>,
    callback: (error: ServiceError | null, answer?: A) => void,
  ]
) => unknown;

function openStub(address: string): MessagingServiceClient {
  return new stubs.MessagingServiceClient(address, grpc.credentials.createInsecure(), CHANNEL);
}

function metadataOf(clientId: string): Metadata {
  const metadata = new grpc.Metadata();
  metadata.set('x-mq-protocol', 'v2');
  metadata.set('x-mq-client-id', clientId);
  // the proxy knows no 'NODE_JS' and answers nothing to a language that it does not know
  metadata.set('x-mq-language', 'HTTP');
  metadata.set('x-mq-client-version', '5.0.0');
  metadata.set('x-mq-date-time', new Date().toISOString().replaceAll(/[-:]|\.\d+/g, ''));
  return metadata;
}

import type { ClientDuplexStream } from '@grpc/grpc-js';
import type { ClientType, Settings } from 'rocketmq-client-nodejs/proto/apache/rocketmq/v2/definition_pb.js';
import type {
  HeartbeatRequest,
  RecoverOrphanedTransactionCommand,
} from 'rocketmq-client-nodejs/proto/apache/rocketmq/v2/service_pb.js';
import service from 'rocketmq-client-nodejs/proto/apache/rocketmq/v2/service_pb.js';
import { StatusError, checkStatus } from './rocketmq-client.js';
import type { RocketMqClient } from './rocketmq-client.js';
import { resourceOf } from './rocketmq-values.js';

export interface SessionOptions {
  readonly client: RocketMqClient;
  /** What this client is; the proxy completes it. */
  readonly settings: Settings;
  /** Of a consumer. */
  readonly group?: string;
  readonly onTrouble: (error: Error) => void;
  /** A check-back (回查). */
  readonly onOrphan?: (command: RecoverOrphanedTransactionCommand) => void;
}

/** One producer or consumer as the proxy knows it. */
export interface Session {
  readonly clientId: string;
  /** What the proxy has made of the settings; waits until it knows this client. */
  settings(): Promise<Settings>;
  /** Tells the proxy that it goes; never throws. */
  close(): Promise<void>;
}

type Stream = ClientDuplexStream<
  InstanceType<typeof service.TelemetryCommand>,
  InstanceType<typeof service.TelemetryCommand>
>;

const HEARTBEAT_MS = 5_000;
const CALL_MS = 3_000;
const FIRST_RETRY_MS = 200;
const LAST_RETRY_MS = 2_000;

/** Makes a client known to the proxy, and again after each loss of the connection, until it is closed. */
export function openSession(options: SessionOptions): Session {
  const { client, onTrouble, onOrphan } = options;
  const clientId = client.createClientId();
  let isClosed = false;
  let stream: Stream | undefined;
  let retry: NodeJS.Timeout | undefined;
  let retryMs = FIRST_RETRY_MS;
  let known = createLatch<Settings>();
  let isKnown = false;
  const lost = (error: Error): void => {
    if (isClosed || retry) return;
    onTrouble(error);
    if (isKnown) known = createLatch();
    isKnown = false;
    // what else it says is of no interest
    stream?.cancel();
    stream = undefined;
    retry = setTimeout(open, retryMs);
    retryMs = Math.min(2 * retryMs, LAST_RETRY_MS);
  };
  const heartbeat = async (): Promise<void> => {
    if (!isKnown) return;
    const beat = client.call('heartbeat', heartbeatOf(options), { clientId, timeoutMs: CALL_MS });
    // a proxy that answers with a refusal has forgotten this client
    await beat.catch((error: Error) => (error instanceof StatusError ? lost(error) : onTrouble(error)));
  };
  const open = (): void => {
    retry = undefined;
    const opened = openStream(options, clientId, {
      onSettings: (settings) => {
        retryMs = FIRST_RETRY_MS;
        if (!isKnown) void beatNow(settings);
      },
      onOrphan,
      onLost: (error) => (stream === opened ? lost(error) : undefined),
    });
    stream = opened;
  };
  const beatNow = async (settings: Settings): Promise<void> => {
    isKnown = true;
    known.resolve(settings);
    await heartbeat();
  };
  open();
  const beats = setInterval(() => void heartbeat(), HEARTBEAT_MS);
  return {
    clientId,
    settings: () => known.promise,
    close: async () => {
      if (isClosed) return;
      isClosed = true;
      clearInterval(beats);
      clearTimeout(retry);
      if (isKnown) await sayGoodbye(options, clientId);
      stream?.cancel();
    },
  };
}

async function sayGoodbye({ client, group }: SessionOptions, clientId: string): Promise<void> {
  const farewell = new service.NotifyClientTerminationRequest();
  if (group !== undefined) farewell.setGroup(resourceOf(group));
  // a proxy that is away forgets the client by itself
  await client.call('notifyClientTermination', farewell, { clientId, timeoutMs: CALL_MS }).catch(() => undefined);
}

interface Latch<T> {
  readonly promise: Promise<T>;
  readonly resolve: (value: T) => void;
}

function createLatch<T>(): Latch<T> {
  let resolve!: (value: T) => void;
  const promise = new Promise<T>((done) => (resolve = done));
  return { promise, resolve };
}

interface StreamEvents {
  readonly onSettings: (settings: Settings) => void;
  readonly onOrphan: SessionOptions['onOrphan'];
  readonly onLost: (error: Error) => void;
}

function openStream({ client, settings }: SessionOptions, clientId: string, events: StreamEvents): Stream {
  const stream = client.telemetry(clientId);
  // its listener stays: an error after the end of a cancelled stream would end the process
  stream.on('error', events.onLost);
  stream.on('end', () => events.onLost(new Error('the proxy ended the session')));
  stream.on('data', (command: InstanceType<typeof service.TelemetryCommand>) => {
    const orphan = command.getRecoverOrphanedTransactionCommand();
    const answer = command.getSettings();
    if (orphan) return void events.onOrphan?.(orphan);
    if (answer) return void events.onSettings(answer);
    try {
      checkStatus(command.getStatus());
    } catch (cause) {
      events.onLost(cause as Error);
    }
  });
  stream.write(new service.TelemetryCommand().setSettings(settings));
  return stream;
}

function heartbeatOf({ settings, group }: SessionOptions): HeartbeatRequest {
  const request = new service.HeartbeatRequest().setClientType(settings.getClientType() as ClientType);
  return group === undefined ? request : request.setGroup(resourceOf(group));
}

import 'reflect-metadata';
import { Inject, Module, type DynamicModule, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { DiscoveryModule, DiscoveryService, MetadataScanner } from '@nestjs/core';
import type { MessageContract } from '../saga/message-contract.js';
import type { Logger } from 'pino';
import type { ConsumeSettings } from './consume-with.js';
import { consume, type ConsumerInbox, type ConsumerTransport } from './consumer.js';
import type { MessageHandler, ParticipantBuilder } from './participant.js';
import { serveParticipant } from './server.js';

/** What a participant in a Nest application takes its messages from. At least one of the two; both share one inbox. */
export interface ParticipantModuleOptions {
  readonly inbox: ConsumerInbox;
  /** Brokers and destinations. @default none */
  readonly consumers?: readonly (ConsumeSettings & { readonly transport: ConsumerTransport })[];
  /** Listens for HTTP beside them, with health and metrics; it needs `inbox.databaseUrl`. @default not at all */
  readonly http?: { readonly host: string; readonly port: number };
  readonly logger?: Pick<Logger, 'error' | 'warn' | 'info'>;
}

const OPTIONS = Symbol('settle:participant-options');
const CONTRACT = Symbol('settle:contract');

type MethodDecoratorFor<Payload, Result> = (
  target: object,
  name: string | symbol,
  // not a whole descriptor, so that a method may leave out parameters it does not need
  descriptor: { readonly value?: MessageHandler<Payload, Result> },
) => void;

/**
 * Makes a provider's method the handler of a message: `(tx, payload, message) => result`, in the transaction of the inbox. Several may
 * share a class; each type has one handler in the application.
 *
 * @example
 * @Injectable()
 * class Stock {
 *   @Handles(inventory.deduct)
 *   async deduct(tx: Transaction, order: StockRequest): Promise<{ reservationId: string }> { … }
 * }
 */
export function Handles<Payload, Result>(
  contract: MessageContract<Payload, Result>,
): MethodDecoratorFor<NoInfer<Payload>, NoInfer<Result>> {
  return (_target, _name, { value }) => {
    Reflect.defineMetadata(CONTRACT, contract, value as object);
  };
}

/** Finds the handlers once every provider is there, and runs the participant for as long as the application does. */
class ParticipantRunner implements OnApplicationBootstrap, OnModuleDestroy {
  private stops: (() => Promise<void>)[] = [];
  constructor(
    @Inject(OPTIONS) private readonly options: ParticipantModuleOptions,
    @Inject(DiscoveryService) private readonly discovery: DiscoveryService,
    @Inject(MetadataScanner) private readonly scanner: MetadataScanner,
  ) {}

  /**
   * The application does not start when a handler or its undo is missing, or the port is taken; brokers and databases may be away.
   *
   * @throws Error
   */
  async onApplicationBootstrap(): Promise<void> {
    const { inbox, consumers = [], http, logger } = this.options;
    const handlers = (participant: ParticipantBuilder): ParticipantBuilder => this.addHandlers(participant);
    if (http) {
      if (!('databaseUrl' in inbox)) throw new TypeError(`'${inbox.consumer}' serves HTTP: give inbox.databaseUrl`);
      const { consumer, databaseUrl, maxConnections, window } = inbox;
      const shared = { consumer, databaseUrl, maxConnections, inbox: window, schema: inbox.schema };
      const server = await serveParticipant({ ...shared, ...http, register: handlers, consumers, logger });
      this.stops = [() => server.stop()];
      return;
    }
    if (consumers.length === 0) throw new TypeError(`'${inbox.consumer}' has neither consumers nor http`);
    for (const settings of consumers) {
      const consumer = consume({ logger, ...settings, inbox, handlers });
      this.stops.push(() => consumer.stop());
    }
  }

  /**
   * Finishes what is under way, in the first of Nest's rounds, while the providers that handlers need are still there; needs
   * `app.close()`, or `app.enableShutdownHooks()` for signals.
   */
  async onModuleDestroy(): Promise<void> {
    await Promise.all(this.stops.map((stop) => stop()));
  }

  private addHandlers(participant: ParticipantBuilder): ParticipantBuilder {
    for (const { instance } of this.discovery.getProviders()) {
      if (typeof instance !== 'object' || instance === null) continue;
      const methods = instance as Record<string, MessageHandler<unknown, unknown>>;
      for (const name of this.scanner.getAllMethodNames(Object.getPrototypeOf(instance) as object | null)) {
        const method = methods[name];
        const contract = typeof method === 'function' && contractOf(method);
        if (contract) participant.handle(contract, method!.bind(instance));
      }
    }
    return participant;
  }
}

function contractOf(method: object): MessageContract | undefined {
  return Reflect.getMetadata(CONTRACT, method) as MessageContract | undefined;
}

/**
 * Makes a Nest application a participant: its `@Handles` methods receive messages from brokers, over HTTP, or both.
 *
 * @example
 * @Module({
 *   imports: [ParticipantModule.forRoot({ inbox: { consumer: 'inventory', databaseUrl }, consumers: [{ transport, from: 'inventory' }] })],
 *   providers: [Stock],
 * })
 * class AppModule {}
 */
@Module({})
export class ParticipantModule {
  static forRoot(options: ParticipantModuleOptions): DynamicModule {
    return {
      module: ParticipantModule,
      imports: [DiscoveryModule],
      providers: [{ provide: OPTIONS, useValue: options }, ParticipantRunner],
    };
  }
}

import type { Logger } from 'pino';
import type { ExpressLane } from '../../activities/express-lane.js';
import type { Config } from '../config.js';
import type { PlaceFirstOrder, PlaceOrder } from '../messages/orders.js';
import type { PayInvoice } from '../messages/payments.js';
import type { RegisterUser } from '../messages/registrations.js';
import type { ContractTable, EventTable } from '../saga/contracts.js';
import type { SagaDefinition } from '../saga/define-saga.js';
import type { Circuits } from '../transports/circuits.js';
import type { HalfMessageStarter } from './half-message-starter.js';
import type { Backlog } from './backlog.js';
import type { Ledger } from './ledger.js';
import type { LedgerWatcher } from './ledger-watcher.js';
import type { Metrics } from './metrics.js';
import type { RepairStarter } from './repair-starter.js';
import type { RouteTable } from './route-table.js';
import type { SagaStarter } from './saga-starter.js';

/** What the API needs to know of a definition: never its code. */
export type StartableDefinition<Input> = Pick<SagaDefinition<Input>, 'type' | 'businessKey' | 'plan'>;

/** The sagas that the API starts, by the name of their workflow. */
export interface ApiDefinitions {
  readonly placeOrder: StartableDefinition<PlaceOrder>;
  readonly placeFirstOrder: StartableDefinition<PlaceFirstOrder>;
  readonly placeApprovedOrder: StartableDefinition<PlaceOrder>;
  readonly payInvoice: StartableDefinition<PayInvoice>;
  readonly registerUser: StartableDefinition<RegisterUser>;
}

/** What the API asks of the starter. */
export type ApiStarter = Pick<SagaStarter, 'startSoon' | 'signalCancel' | 'signalNews' | 'operate' | 'isReachable'>;

/** What the API asks of the express lane. */
export type ApiExpress = Pick<ExpressLane, 'accept' | 'counts' | 'placeFor'>;

/** What the API asks of the circuits. */
export type ApiCircuits = Pick<Circuits, 'list'>;

/** What the API asks of the starter of half messages. */
export type ApiHalfMessages = Pick<HalfMessageStarter, 'tellSoon'>;

/** What the API asks of the starter of repairs. */
export type ApiRepairs = Pick<RepairStarter, 'startSoon'>;

/** The settings that the API reads. */
export type ApiConfig = Pick<Config, 'host' | 'port' | 'apiKeys' | 'backlog' | 'temporal' | 'routes' | 'windows'>;

/** What the API is made of; controllers and services take it by the token {@link PARTS}. */
export interface ApiParts {
  readonly config: ApiConfig;
  readonly definitions: ApiDefinitions;
  /** What operators' results and payloads are checked against. */
  readonly contracts: ContractTable;
  /** What events are checked against. */
  readonly events: EventTable;
  readonly ledger: Ledger;
  readonly starter: ApiStarter;
  /** Absent: there is none. */
  readonly express?: ApiExpress;
  readonly halfMessages: ApiHalfMessages;
  readonly repairs: ApiRepairs;
  readonly watcher: LedgerWatcher;
  readonly backlog: Backlog;
  readonly metrics: Metrics;
  readonly routes: RouteTable;
  readonly logger: Logger;
  /** Between the comment lines that keep an event stream open. */
  readonly heartbeatMs: number;
  /** How old something may be that an operator has sent again without saying that it may repeat the effect. */
  readonly manualWindowMs: number;
}

/** The injection token of {@link ApiParts}. */
export const PARTS = Symbol('api parts');

import { sampleRoutes } from '../../../src/config-routes.js';
import type { PreparedDestination } from '../../../src/dev/brokers/brokers.js';
import { deadLettersOf } from '../../../src/participant/index.js';
import { replyAddressOf } from '../../../src/saga/envelope.js';
import type { Route, Routes } from '../../../src/transports/transport.js';
import type { Run } from '../faults/run.js';
import type { SAMPLE_TRANSPORTS } from '../../../src/settings.js';
import type { BrokerName } from '../../../src/brokers/broker.js';

/** What the contract holds for. */
export type TransportName = Exclude<(typeof SAMPLE_TRANSPORTS)[number], 'all'>;

/** The type of messages that no participant answers, whose order is kept. */
export const NOTE = 'contract.note';

/** The sample participants' destinations. */
export const PARTICIPANTS = ['inventory', 'accounts', 'profiles'] as const;

/** The most that a message of `inventory` may have over a broker, in bytes: an order of a few items has less. */
export const MAX_BYTES = 4_096;

/** Where routes of a run lead. */
export interface Addressing {
  readonly transport: TransportName;
  /** What the destinations of the run end with, so that no two runs share one. */
  readonly suffix: string;
  /** Where notes go over HTTP. */
  readonly notesUrl?: string;
}

/** The name of a destination of a run. */
export function destinationOf(name: string, { suffix }: Pick<Addressing, 'suffix'>): string {
  return `${name}${suffix}`;
}

/** The routes of the samples, and of notes, over a transport and to destinations of a run's own. */
export function contractRoutes({ env }: Pick<Run, 'env'>, addressing: Addressing): Routes {
  const { transport, notesUrl = 'http://127.0.0.1:1' } = addressing;
  const port = Number(env['PORT']);
  const ports = { inventoryPort: port + 1, accountsPort: port + 2, profilesPort: port + 6 };
  const samples = sampleRoutes({ host: '127.0.0.1', transport, ...ports });
  const note: Route =
    transport === 'http'
      ? { transport, url: notesUrl, ordered: true }
      : { transport, to: destinationOf('notes', addressing), ordered: true, fireAndForget: true };
  const own = Object.entries(samples).map(([type, route]): [string, Route] => {
    if (route.transport === 'http') return [type, route];
    const to = destinationOf(route.to, addressing);
    return [type, { ...route, to, ...(type.startsWith('inventory.') && { maxBytes: MAX_BYTES }) }];
  });
  return { ...Object.fromEntries(own), [NOTE]: note };
}

/** Where the workers of a run take answers. */
export function replyDestination({ env }: Pick<Run, 'env'>): PreparedDestination {
  const name = replyAddressOf(env['SETTLE_TASK_QUEUE']!);
  return { name, groups: [name] };
}

/** The participants' destinations of a run, with their dead letters, which the test reads as a group of its own. */
export function participantDestinations(broker: BrokerName, suffix: string): readonly PreparedDestination[] {
  return PARTICIPANTS.flatMap((participant) => {
    const name = `${participant}${suffix}`;
    return [
      { name, groups: [participant] },
      { name: deadLettersOf(name, broker), groups: [READER] },
    ];
  });
}

/** The group as which the test itself consumes. */
export const READER = 'contract';

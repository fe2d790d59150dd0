import type { Logger } from 'pino';
import type pg from 'pg';
import { createExpressLane, type ExpressLane, type ExpressLedger } from '../activities/express-lane.js';
import { createSagaActivities } from '../activities/saga-activities.js';
import { definitions } from '../workflows/definitions.js';
import type { SagaStarter } from './api/saga-starter.js';
import type { Config } from './config.js';
import { acceptExpress, handOver, mayPassTurn, settleExpress } from './db/express.js';
import { createPool } from './db/pool.js';
import { localWorks } from './local-works.js';
import { expressOf } from './saga/lane.js';
import type { Wrap } from './saga/wrap.js';
import type { Circuits } from './transports/circuits.js';
import { isAnsweredAtOnce } from './transports/answered-at-once.js';
import { createRouter } from './transports/router.js';

/** What the express lane of a process is made of. */
export interface ExpressDependencies {
  readonly config: Config;
  readonly starter: Pick<SagaStarter, 'startSoon'>;
  readonly circuits: Circuits;
  readonly logger: Logger;
  readonly wrap: Wrap;
}

/**
 * Connections: of those that accept and run steps, and of those that settle and hand over. What ends a saga must not stand behind what
 * begins one, e.g. behind a row that somebody keeps locked and that every order needs. With 20 for all of it on two cores and 64 in flight,
 * acceptances took 0.8 s at the 99th percentile, with 8 0.3 to 0.5 s, at the same throughput.
 */
const CONNECTIONS = { beginning: 8, ending: 4 } as const;

/**
 * Opens the express lane beside an API, over connections of its own. What goes over a broker takes the workflow lane: its answer
 * comes to another process, and later.
 */
export function startExpress({ config, starter, circuits, logger, wrap }: ExpressDependencies): ExpressLane {
  const ofLane = expressOf(definitions, config.lane).filter((definition) =>
    isAnsweredAtOnce(definition, config.routes),
  );
  const onIdleError = (err: Error): void =>
    logger.warn({ err }, 'an idle connection of the express lane broke; another takes its place');
  const open = (max: number): pg.Pool =>
    createPool(config.databaseUrl!, { name: 'settle-express', onIdleError, plansOnce: true, pipelines: true, max });
  const [beginning, ending] = [open(CONNECTIONS.beginning), open(CONNECTIONS.ending)];
  const router = wrap('router', createRouter(config.routes, { circuits }));
  const works = wrap('localWorks', localWorks());
  const ledger: ExpressLedger = {
    accept: (start) => acceptExpress(beginning, start),
    mayPassTurn: (sagaId) => mayPassTurn(ending, sagaId),
    settle: (ends) => settleExpress(ending, ends),
    handOver: (given) => handOver(ending, given),
  };
  const lane = createExpressLane({
    ...{ definitions: ofLane, router, localWorks: works, ledger: wrap('expressLedger', ledger) },
    activities: wrap('activities', createSagaActivities({ pool: beginning, router, definitions, localWorks: works })),
    startSoon: starter.startSoon,
    onError: (err, message) => logger.warn({ err }, message),
  });
  return {
    ...lane,
    stop: async () => {
      await lane.stop();
      await Promise.all([router.close(), beginning.end(), ending.end()]);
    },
  };
}

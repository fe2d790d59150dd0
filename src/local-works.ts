import * as orders from '../activities/orders.js';
import * as payments from '../activities/payments.js';
import * as registrations from '../activities/registrations.js';
import type { ActivityDependencies } from '../activities/saga-activities.js';
import type { Transaction } from './db/pool.js';
import type { LocalWork } from './saga/local-work.js';

/** The local transactions of every scenario, by name. */
export function localWorks(): ActivityDependencies['localWorks'] {
  const modules: Record<string, object> = { orders, payments, registrations };
  return new Map(
    Object.entries(modules).flatMap(([scenario, works]) =>
      Object.entries(works).map(([name, work]) => [
        `${scenario}.${name}`,
        work as LocalWork<Transaction, never, unknown>,
      ]),
    ),
  );
}

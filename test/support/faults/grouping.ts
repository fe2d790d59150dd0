import type { Violation } from './evidence.js';

/** Rows by key, in the order in which they came. */
export function groupBy<T>(rows: readonly T[], keyOf: (row: T) => string): ReadonlyMap<string, readonly T[]> {
  const groups = new Map<string, T[]>();
  for (const row of rows) {
    const key = keyOf(row);
    const group = groups.get(key);
    if (group) group.push(row);
    else groups.set(key, [row]);
  }
  return groups;
}

/** What breaks an invariant: saga ids or keys, and rows. */
export interface Proof {
  readonly ids: readonly string[];
  readonly rows?: readonly unknown[];
}

const SHOWN = 20;

/** A violation with the first of its rows: enough to see what happened. */
export function violation(invariant: string, problem: string, { ids, rows = [] }: Proof): Violation {
  return { invariant, problem, ids: ids.slice(0, SHOWN), rows: rows.slice(0, SHOWN) };
}

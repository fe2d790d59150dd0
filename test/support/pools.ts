import type pg from 'pg';
import { createPool, type PoolOptions } from '../../src/db/pool.js';

/**
 * A pool as the product has it, that gives up only after a minute. A test that asks for more at once than there are connections is to
 * see what comes of it, and not how fast the machine is.
 */
export function openPool(url: string, options: PoolOptions = {}): pg.Pool {
  return createPool(url, { connectMs: 60_000, queryMs: 60_000, ...options });
}

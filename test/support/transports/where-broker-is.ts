import type { BrokerName } from '../../../src/brokers/broker.js';
import { findMissingBrokers } from './test-broker.js';

/**
 * `describe` where the brokers can be run, and in CI, where one that is missing is a failure; elsewhere one that passes its tests
 * over, with a word on how to get what is missing.
 */
export async function describeWhere(...names: readonly BrokerName[]): Promise<typeof describe> {
  const missing = await findMissingBrokers();
  const whys = names.flatMap((name) => missing.get(name) ?? []);
  if (whys.length === 0 || process.env['CI']) return describe;
  console.warn(`passed over: ${whys.join('; ')}`);
  return describe.skip as unknown as typeof describe;
}

import { readdirSync } from 'node:fs';
import { SAMPLE_TRANSPORTS } from '../../src/settings.js';
import { findMissingBrokers } from '../support/transports/test-broker.js';

// Every transport keeps the same promises, in the file of its name: see test/support/transports/contract.ts. `npm run transports` runs
// all of them in full size.

test('every transport has a file that holds it to the contract', () => {
  const files = readdirSync(import.meta.dirname);
  const missing = SAMPLE_TRANSPORTS.filter((name) => name !== 'all' && !files.includes(`${name}.test.ts`));
  expect(missing).toEqual([]);
});

test('every broker of the contract is here, or said how to get', async () => {
  const missing = await findMissingBrokers();
  for (const [name, why] of missing) console.warn(`the contract is not looked at over ${name}: ${why}`);
  expect([...missing]).toEqual(process.env['CI'] ? [] : [...missing]);
});

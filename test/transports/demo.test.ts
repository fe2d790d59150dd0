import { BROKER_NAMES } from '../../src/brokers/broker.js';
import { runMain } from '../support/processes.js';
import { describeWhere } from '../support/transports/where-broker-is.js';

const describeAll = await describeWhere(...BROKER_NAMES);

describeAll('the demo', () => {
  test('settles the same sagas with each scenario over a broker of its own', async () => {
    const { code, output } = await runMain({ args: ['demo', '--transport', 'all'], env: {}, timeoutMs: 800_000 });
    expect(output).toContain('Everything settled; nothing was lost, nothing was made up.');
    expect(output.match(/✗/g)).toBeNull();
    expect(output.match(/✓/g)).toHaveLength(30);
    expect(code).toBe(0);
  });
});

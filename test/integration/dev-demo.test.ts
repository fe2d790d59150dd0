import { runMain } from '../support/processes.js';

test('the demo shows every scenario, finds its books in balance and leaves nothing behind', async () => {
  const { code, output } = await runMain({ args: ['demo'], env: {}, timeoutMs: 600_000 });
  expect(output).toContain('Everything settled; nothing was lost, nothing was made up.');
  expect(output.match(/✗/g)).toBeNull();
  expect(output.match(/✓/g)).toHaveLength(30);
  expect(output).toMatch(/inventory\.release +undone/);
  expect(code).toBe(0);
});

import { pino } from 'pino';
import { sdkLog } from '../../src/sdk-log.js';

function written(say: (log: ReturnType<typeof sdkLog>) => void): Record<string, unknown> {
  const lines: string[] = [];
  say(sdkLog(pino({ level: 'trace' }, { write: (line: string) => void lines.push(line) })));
  return JSON.parse(lines[0]!) as Record<string, unknown>;
}

test('an error that an activity logs is written with its message and its stack', () => {
  const line = written(
    (log) => void log.warn('a step cannot be run ahead', { sagaId: 'sg_1', error: new Error('no price') }),
  );
  expect(line).toMatchObject({ level: 40, msg: 'a step cannot be run ahead', sagaId: 'sg_1' });
  expect(line['err']).toMatchObject({ message: 'no price', stack: expect.stringContaining('sdk-log.test') });
  expect(line).not.toHaveProperty('error');
});

test('an attempt that failed is no warning, and what the SDK tells of itself no news', () => {
  expect(written((log) => void log.warn('Activity failed', { attempt: 1 }))).toMatchObject({ level: 20, attempt: 1 });
  expect(written((log) => void log.info('Worker state changed'))).toMatchObject({ level: 20 });
});

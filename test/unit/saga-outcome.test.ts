import fc from 'fast-check';
import { outcomeKindOf, retryAfterMs } from '../../src/saga/outcome.js';

const NOW = Date.parse('2026-01-01T00:00:00Z');

test('a participant is understood as the table of the outcome grammar says', () => {
  const table = {
    done: [200, 201, 203, 204, 206, 299],
    rejected: [400, 404, 409, 410, 422],
    working: [202, 425],
    unknown: [100, 301, 302, 307, 401, 403, 405, 408, 413, 423, 429, 500, 501, 502, 503, 504, 599],
  };
  for (const [kind, statuses] of Object.entries(table)) {
    expect(statuses.map((status) => [status, outcomeKindOf(status)])).toEqual(statuses.map((status) => [status, kind]));
  }
});

test('every status has exactly one meaning, and only a clear 2xx counts as done', () => {
  fc.assert(
    fc.property(fc.integer({ min: 100, max: 599 }), (status) => {
      const kind = outcomeKindOf(status);
      expect(['done', 'rejected', 'working', 'unknown']).toContain(kind);
      if (kind === 'done') expect(status >= 200 && status < 300).toBe(true);
      if (kind === 'rejected') expect(status >= 400 && status < 500).toBe(true);
    }),
  );
});

test('a server error never counts as definitely not applied', () => {
  for (let status = 500; status <= 599; status++) expect(outcomeKindOf(status)).toBe('unknown');
});

test('Retry-After is read as seconds or as a date', () => {
  expect(retryAfterMs('0', NOW)).toBe(0);
  expect(retryAfterMs(' 30 ', NOW)).toBe(30_000);
  expect(retryAfterMs('Thu, 01 Jan 2026 00:01:00 GMT', NOW)).toBe(60_000);
});

test('a date that has passed means at once, and no wait is longer than an hour', () => {
  expect(retryAfterMs('Wed, 31 Dec 2025 23:00:00 GMT', NOW)).toBe(0);
  expect(retryAfterMs('999999999', NOW)).toBe(3_600_000);
  expect(retryAfterMs('Fri, 01 Jan 2027 00:00:00 GMT', NOW)).toBe(3_600_000);
});

test('a header that is absent or unreadable asks for nothing', () => {
  for (const header of [undefined, '', 'soon', '1.5s', 'NaN']) expect(retryAfterMs(header, NOW)).toBeUndefined();
});

test('whatever a participant writes into Retry-After, the wait is between nothing and an hour', () => {
  const anyHeader = fc.oneof(fc.string({ unit: 'binary' }), fc.integer().map(String), fc.double().map(String));
  fc.assert(
    fc.property(anyHeader, (header) => {
      const wait = retryAfterMs(header, NOW);
      if (wait === undefined) return;
      expect(wait).toBeGreaterThanOrEqual(0);
      expect(wait).toBeLessThanOrEqual(3_600_000);
    }),
    { numRuns: 1_000 },
  );
});

import fc from 'fast-check';
import { canonicalJson, hashOf } from '../../src/api/canonical-json.js';
import { parseJsonBody } from '../../src/api/json-body.js';
import { problemOf } from '../../src/api/problem.filter.js';
import { ProblemError } from '../../src/api/problems.js';
import { readIdempotencyKey, readTrace, readWaitMs, type RequestHeaders } from '../../src/api/request-headers.js';
import { createRouteTable } from '../../src/api/route-table.js';
import { isDatabaseUnavailable } from '../../src/db/unavailable.js';

const headers = (distinct: Record<string, string[]>): RequestHeaders => ({
  headersDistinct: distinct,
  headers: Object.fromEntries(Object.entries(distinct).map(([name, lines]) => [name, lines.join(', ')])),
});

describe('the request hash', () => {
  test('does not depend on the order of members', () => {
    const shuffled = (value: fc.JsonValue): fc.JsonValue => {
      if (Array.isArray(value)) return value.map(shuffled);
      if (typeof value !== 'object' || value === null) return value;
      return Object.fromEntries(
        Object.entries(value)
          .reverse()
          .map(([name, member]) => [name, shuffled(member as fc.JsonValue)]),
      );
    };
    fc.assert(fc.property(fc.jsonValue(), (value) => expect(hashOf(shuffled(value))).toBe(hashOf(value))));
  });

  test('keeps everything: its text parses to the same value', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const plain = JSON.parse(JSON.stringify(value)) as unknown;
        expect(JSON.parse(canonicalJson(plain))).toEqual(plain);
      }),
    );
  });
});

describe('a request body', () => {
  test('is what was sent, up to 32 levels', () => {
    const nested = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels);
    expect(JSON.stringify(parseJsonBody(Buffer.from(nested(32))))).toBe(nested(32));
    expect(() => parseJsonBody(Buffer.from(nested(33)))).toThrow('deeper than 32');
  });

  test('is never anything but a value or a problem', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => {
        try {
          parseJsonBody(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(ProblemError);
        }
      }),
    );
  });
});

describe('the Idempotency-Key', () => {
  test('is any visible ASCII, with or without quotes', () => {
    const visible = fc.string({
      unit: fc.integer({ min: 0x21, max: 0x7e }).map((code) => String.fromCharCode(code)),
      minLength: 1,
      maxLength: 255,
    });
    fc.assert(
      fc.property(visible, (key) => {
        const quoted = `"${key.replace(/(["\\])/g, '\\$1')}"`;
        expect(readIdempotencyKey(headers({ 'idempotency-key': [quoted] }))).toBe(key);
        if (!key.startsWith('"')) expect(readIdempotencyKey(headers({ 'idempotency-key': [key] }))).toBe(key);
      }),
    );
  });
});

describe('the preferred wait', () => {
  test.each([
    [['wait=5'], 5_000],
    [['respond-async, wait=30'], 30_000],
    [['handling=lenient', 'Wait="7"'], 7_000],
    [['wait = 1; x=y'], 1_000],
    [['waiting=99'], undefined],
    [['return=minimal'], undefined],
    [[], undefined],
  ])('%j is %s ms', (prefer, expected) => {
    expect(readWaitMs(headers({ prefer }))).toBe(expected);
  });
});

describe('the trace context', () => {
  const traceId = '0af7651916cd43dd8448eb211c80319c';
  const spanId = 'b7ad6b7169203331';
  test.each([
    [`00-${traceId}-${spanId}-01`, { traceId, spanId }],
    [`01-${traceId}-${spanId}-01-more`, { traceId, spanId }],
    [`00-${traceId}-${spanId}-01-more`, undefined],
    [`ff-${traceId}-${spanId}-01`, undefined],
    [`00-${'0'.repeat(32)}-${spanId}-01`, undefined],
    [`00-${traceId}-${'0'.repeat(16)}-01`, undefined],
    ['garbage', undefined],
  ])('%s', (traceparent, expected) => {
    expect(readTrace(headers({ traceparent: [traceparent] }))).toEqual(expected);
  });
});

describe('the route table', () => {
  test('tells the methods of an address, and nothing of an unknown one', () => {
    const table = createRouteTable();
    table.add({ method: 'GET', url: '/v1/sagas/:id' });
    table.add({ method: ['POST', 'HEAD'], url: '/v1/sagas/:id' });
    table.add({ method: 'GET', url: '/openapi.json' });
    expect(table.methodsOf('/v1/sagas/x')).toEqual(['GET', 'HEAD', 'POST']);
    expect(table.methodsOf('/v1/sagas/x/y')).toEqual([]);
    expect(table.methodsOf('/openapi-json')).toEqual([]);
  });
});

describe('what is thrown', () => {
  test.each([
    [Object.assign(new Error('x'), { code: 'ECONNREFUSED' }), true],
    [new AggregateError([Object.assign(new Error('x'), { code: 'ECONNREFUSED' })]), true],
    [Object.assign(new Error('x'), { code: '57P01' }), true],
    [Object.assign(new Error('x'), { code: '53300' }), true],
    [new Error('timeout exceeded when trying to connect'), true],
    [new Error('Query read timeout'), true],
    [Object.assign(new Error('x'), { code: '23505' }), false],
    [new Error('anything else'), false],
    ['text', false],
  ])('%s is the database being away: %s', (thrown, expected) => {
    expect(isDatabaseUnavailable(thrown)).toBe(expected);
    expect(problemOf(thrown).problem).toBe(expected ? 'database-unavailable' : 'internal-error');
  });

  test('and not foreseen tells the client nothing', () => {
    expect(problemOf(new Error('password is hunter2')).message).not.toContain('hunter2');
  });
});

import fc from 'fast-check';
import { canonicalJson, parseJson, requestHash } from '../../src/participant/json.js';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** The same value with the members of every object in reverse order. */
function reversed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(reversed);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .reverse()
      .map(([name, member]) => [name, reversed(member)]),
  );
}

describe('the JSON of a message', () => {
  it('hashes alike whatever the order of its members', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(requestHash('notes.write', reversed(value))).toBe(requestHash('notes.write', value));
      }),
    );
  });

  it('hashes differently when a value, a type or an order of items differs', () => {
    const hashes = [
      requestHash('a.b', [1, 2]),
      requestHash('a.b', [2, 1]),
      requestHash('a.c', [1, 2]),
      requestHash('a.b', { 0: 1, 1: 2 }),
      requestHash('a.b', ['1', 2]),
    ];
    expect(new Set(hashes).size).toBe(hashes.length);
  });

  it('keeps its meaning in canonical form', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const written = JSON.stringify(value);
        expect(canonicalJson(JSON.parse(canonicalJson(value)))).toBe(canonicalJson(JSON.parse(written)));
      }),
    );
  });

  it('is read when it is 64 levels deep', () => {
    expect(() => parseJson(bytes('['.repeat(64) + ']'.repeat(64)))).not.toThrow();
  });

  it.each([
    ['65 levels', bytes('['.repeat(65) + ']'.repeat(65)), /64 levels/],
    ['100,000 levels', bytes('['.repeat(100_000) + ']'.repeat(100_000)), /64 levels/],
    ['65 levels of objects', bytes('{"a":'.repeat(65) + '1' + '}'.repeat(65)), /64 levels/],
    ['NUL', bytes('{"a":"\\u0000"}'), /NUL/],
    ['a lone surrogate', bytes('["\\ud800"]'), /surrogate/],
    ['a lone surrogate as a name', bytes('{"\\udc00":1}'), /surrogate/],
    ['__proto__', bytes('{"a":{"__proto__":{"admin":true}}}'), /__proto__/],
    ['broken JSON', bytes('{"a":'), /not valid JSON/],
    ['nothing', bytes(''), /not valid JSON/],
    ['bytes that are not UTF-8', Uint8Array.of(0x22, 0xff, 0x22), /not valid JSON/],
  ])('is refused with %s', (_, body, problem) => {
    expect(() => parseJson(body)).toThrow(problem);
  });

  it('is read with a surrogate pair', () => {
    expect(parseJson(bytes('"\\ud83d\\ude00"'))).toBe('😀');
  });
});

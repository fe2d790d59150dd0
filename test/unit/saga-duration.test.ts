import fc from 'fast-check';
import { milliseconds, type Duration } from '../../src/saga/duration.js';

const UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

test('a duration with a unit is that many ms', () => {
  const unit = fc.constantFrom(...(Object.keys(UNITS) as (keyof typeof UNITS)[]));
  fc.assert(
    fc.property(fc.nat(10_000), unit, (count, name) => {
      expect(milliseconds(`${count}${name}`)).toBe(count * UNITS[name]);
    }),
  );
});

test('a plain number is ms already', () => {
  fc.assert(fc.property(fc.nat(), (ms) => expect(milliseconds(ms)).toBe(ms)));
});

test('a fraction of a unit is rounded to whole ms', () => {
  expect(milliseconds('1.5s')).toBe(1_500);
  expect(milliseconds('0.0004s')).toBe(0);
});

test.each(['', 's', '5', '5 s', '-5s', '5w', '1e3s', '5s ', '5S', '٥s'])('%j is refused by name', (text) => {
  expect(() => milliseconds(text as Duration)).toThrow(`'${text}' is not a duration`);
});

test.each([-1, Number.NaN, Number.POSITIVE_INFINITY])('the number %p is refused', (number) => {
  expect(() => milliseconds(number)).toThrow(RangeError);
});

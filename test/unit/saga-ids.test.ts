import fc from 'fast-check';
import { v7 } from 'uuid';
import { effectKey, isSagaId, isStepName, parseEffectKey, sagaId } from '../../src/saga/ids.js';

const anySagaId = fc.uuid({ version: 7 }).map(sagaId);
const anyStepName = fc.stringMatching(/^[a-z][a-z0-9-]{0,62}$/);
const anyAction = fc.constantFrom('do' as const, 'undo' as const);

test('an effect key tells saga, step and action again', () => {
  fc.assert(
    fc.property(anySagaId, anyStepName, anyAction, (id, step, action) => {
      const effect = { sagaId: id, step, action };
      expect(parseEffectKey(effectKey(effect))).toEqual(effect);
    }),
  );
});

test('two effects never share a key', () => {
  const anyEffect = fc.record({ sagaId: anySagaId, step: anyStepName, action: anyAction });
  fc.assert(
    fc.property(anyEffect, anyEffect, (one, other) => {
      const isSame = one.sagaId === other.sagaId && one.step === other.step && one.action === other.action;
      expect(effectKey(one) === effectKey(other)).toBe(isSame);
    }),
  );
});

test('text that is no effect key is refused, and never throws', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => expect(parseEffectKey(text)).toBeUndefined()));
});

test.each([
  ['another action', (id: string) => `${id}/stock/redo`],
  ['no step', (id: string) => `${id}//do`],
  ['a part too many', (id: string) => `${id}/stock/do/do`],
  ['a space behind it', (id: string) => `${id}/stock/do `],
  ['a line break behind it', (id: string) => `${id}/stock/do\n`],
  ['a step in capitals', (id: string) => `${id}/Stock/do`],
  ['no prefix', (id: string) => `${id.slice(3)}/stock/do`],
])('an effect key with %s is refused', (_, spoil) => {
  expect(parseEffectKey(spoil(sagaId(v7())))).toBeUndefined();
});

test('a fresh UUIDv7 makes a saga id, and saga ids sort by time', () => {
  const early = sagaId(v7({ msecs: 1_000_000 }));
  const late = sagaId(v7({ msecs: 2_000_000 }));
  expect([late, early].sort()).toEqual([early, late]);
  expect(isSagaId(early)).toBe(true);
});

test('a UUID of another version cannot be a saga id', () => {
  const anyOther = fc.uuid({ version: [1, 2, 3, 4, 5, 6, 8] });
  fc.assert(
    fc.property(anyOther, (uuid) => {
      expect(isSagaId(`sg_${uuid}`)).toBe(false);
      expect(() => sagaId(uuid)).toThrow(`'${uuid}' is not a UUIDv7`);
    }),
  );
});

test('text of a client is never taken for a saga id', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => expect(isSagaId(text)).toBe(false)));
  expect(isSagaId(sagaId(v7()).toUpperCase())).toBe(false);
  expect(isSagaId(`${sagaId(v7())}\n`)).toBe(false);
});

test('a step name can be part of an effect key', () => {
  fc.assert(
    fc.property(anyStepName, (name) => {
      expect(isStepName(name)).toBe(true);
      expect(name).not.toContain('/');
    }),
  );
});

import { planStorm } from '../support/faults/storm.js';

test('a seed reproduces its storm, another seed is another storm', () => {
  expect(planStorm(7, 50)).toEqual(planStorm(7, 50));
  expect(planStorm(7, 50)).not.toEqual(planStorm(8, 50));
  expect(new Set(planStorm(7, 50).map(({ kind }) => kind)).size).toBe(4);
});

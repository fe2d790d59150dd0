import { PROBLEMS, type ProblemName } from '../../src/api/problems.js';
import type { RawAnswer } from './raw-http.js';

/** Fails unless an answer is this problem as documented, without a trace of our code; returns its body. */
export function expectProblem(answer: RawAnswer, status: number, type: string): Record<string, unknown> {
  expect({ status: answer.status, type: answer.headers['content-type'] }).toEqual({
    status,
    type: 'application/problem+json',
  });
  expect(answer.body).not.toMatch(/node_modules|\bat .*:\d+|stack|src\//);
  const problem = JSON.parse(answer.body) as Record<string, unknown>;
  const { title } = PROBLEMS[type as ProblemName];
  expect(problem).toMatchObject({ type: `/problems/${type}`, title, status, detail: expect.any(String) });
  return problem;
}

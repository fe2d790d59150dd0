import type { SagaDefinition } from './define-saga.js';
import { allSteps } from './plan.js';

/**
 * How a saga runs. `workflow`: Temporal runs it from its first step. `express`: the process that accepts it runs it straight through,
 * and a workflow takes over at the first sign of trouble. Steps, effect keys and promises are the same.
 */
export const LANES = ['workflow', 'express'] as const;
export type Lane = (typeof LANES)[number];

/**
 * What a new saga finds in the express lane: a place, or none, as too many are on their way; then the other lane, which costs more, has
 * none either.
 */
export type Place = 'free' | 'full';

/** Why a definition cannot run in the express lane, and what that lane can hold; undefined when it can. */
export function whyNotExpress({ plan, code }: Pick<SagaDefinition, 'plan' | 'code'>): string | undefined {
  const [first] = plan.items;
  const remedy = "the express lane holds a local step without 'when' first, and only message and local steps after it";
  const begins = first && !('parallel' in first) && first.type === 'local' && !code.get(first.name)?.when;
  if (!begins) return `does not begin with such a step; ${remedy}`;
  const other = allSteps(plan).find(({ type }) => type !== 'local' && type !== 'message');
  return other && `has the step '${other.name}' of type '${other.type}'; ${remedy}`;
}

/**
 * The definitions whose new sagas run in the express lane: those that say so, and where an installation prefers it every other that can.
 *
 * @param preferred what the installation prefers
 */
export function expressOf(definitions: readonly SagaDefinition[], preferred: Lane): readonly SagaDefinition[] {
  return definitions.filter(
    (definition) =>
      definition.lane === 'express' || (preferred === 'express' && whyNotExpress(definition) === undefined),
  );
}

import { contractsOf } from '../saga/contracts.js';
import type { SagaDefinition } from '../saga/define-saga.js';
import type { Routes } from './transport.js';

/**
 * Whether every message of a saga goes over HTTP: then its answer is the call's, and comes to the process that asks. A type without
 * a route counts as one that does: its sagas' workflows say what is missing.
 */
export function isAnsweredAtOnce(definition: SagaDefinition, routes: Routes): boolean {
  return [...contractsOf([definition]).keys()].every((type) => (routes[type]?.transport ?? 'http') === 'http');
}

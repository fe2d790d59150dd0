import type { ParkedItem } from '../db/parked-items.js';
import type { AnyAction } from '../saga/operator.js';
import type { ApiParts } from './parts.js';
import { ProblemError } from './problems.js';

/** What an action comes with. */
export interface GivenArguments {
  readonly action: AnyAction;
  readonly result?: unknown;
  readonly payload?: unknown;
}

/**
 * Makes sure that what is attested or edited is what the contract says. A message that belongs to no saga has none:
 * its producer prepared it unchecked.
 *
 * @throws ProblemError `invalid-request`
 */
export function checkItem(
  { contracts, events }: Pick<ApiParts, 'contracts' | 'events'>,
  item: ParkedItem,
  given: GivenArguments,
): void {
  if (item.kind !== 'saga') return;
  const against = (member: 'result' | 'payload'): void => {
    // of a message either; of an event that a step waits for what it would have said
    const schema = contracts.get(item.action)?.[member] ?? events.get(item.action)?.body;
    if (!schema) throw invalid(`/${member}`, `cannot be checked: this release has no contract for '${item.action}'`);
    const parsed = schema.safeParse(given[member]);
    if (parsed.success) return;
    const { path = [], message } = parsed.error.issues[0] ?? { message: 'is wrong' };
    throw invalid(['', member, ...path.map(String)].join('/'), `breaks the contract of '${item.action}': ${message}`);
  };
  if (given.action === 'edit') against('payload');
  if (given.action !== 'skip') return;
  const isNeeded = item.direction === 'do';
  if (isNeeded !== (given.result !== undefined)) {
    throw invalid('/result', isNeeded ? 'must be given: later steps may read it' : 'must be absent: an undo has none');
  }
  if (isNeeded && item.stepType !== 'local') against('result');
}

function invalid(pointer: string, detail: string): ProblemError {
  return new ProblemError('invalid-request', 'the body is not as documented', { errors: [{ pointer, detail }] });
}

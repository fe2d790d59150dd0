import type { SagaDefinition } from './define-saga.js';
import type { EventContract } from './event-contract.js';
import type { MessageContract } from './message-contract.js';

/** Message type → contract, undos included. */
export type ContractTable = ReadonlyMap<string, MessageContract<never>>;

/** The contracts of every message that these definitions may send. */
export function contractsOf(definitions: readonly Pick<SagaDefinition, 'code'>[]): ContractTable {
  const contracts = definitions.flatMap(({ code }) => [...code.values()].flatMap(({ contract }) => contract ?? []));
  return new Map(
    contracts
      .flatMap((contract) => [contract, contract.undo ?? []].flat())
      .map((contract) => [contract.type, contract as MessageContract<never>]),
  );
}

/** Event name → contract. */
export type EventTable = ReadonlyMap<string, EventContract>;

/**
 * The contracts of every event that these definitions may wait for.
 *
 * @throws TypeError when two of them mean different events by one name
 */
export function eventsOf(definitions: readonly Pick<SagaDefinition, 'code'>[]): EventTable {
  const table = new Map<string, EventContract>();
  for (const event of definitions.flatMap(({ code }) => [...code.values()].flatMap(({ event }) => event ?? []))) {
    if ((table.get(event.name) ?? event) !== event)
      throw new TypeError(`two events are called '${event.name}'; give one of them another name`);
    table.set(event.name, event);
  }
  return table;
}

import type { SagaDefinition } from './define-saga.js';
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

import { inventory } from '../../src/messages/index.js';
import { serveParticipant, type ParticipantServer } from '../../src/participant/index.js';
import { RejectedError } from '../../src/saga/errors.js';

/** An inventory that refuses while it is closed, with the real inbox: what it has refused stays refused. */
export interface Warehouse extends ParticipantServer {
  /** What it refuses now: to take stock as if under another payload, to give it back, or nothing. */
  refuses: 'deduct' | 'release' | 'nothing';
  /** What it has applied, e.g. `release book`, by saga. */
  readonly applied: Map<string, string[]>;
}

/** Opens one on a migrated inventory database. */
export async function openWarehouse(databaseUrl: string): Promise<Warehouse> {
  const applied = new Map<string, string[]>();
  const note = (sagaId: string, entry: string): void =>
    void applied.set(sagaId, [...(applied.get(sagaId) ?? []), entry]);
  const state = { refuses: 'nothing' as Warehouse['refuses'] };
  const server = await serveParticipant({
    ...{ consumer: 'inventory', databaseUrl, host: '127.0.0.1', port: 0 },
    register: (participant) =>
      participant
        .handle(inventory.deduct, (_tx, { items }, { sagaId }) => {
          if (state.refuses === 'deduct') throw new RejectedError('effect-key-reused', 'stands for another request');
          note(sagaId, `deduct ${items[0]!.sku}`);
          return Promise.resolve({ reservationId: sagaId });
        })
        .handle(inventory.release, (_tx, { items }, { sagaId }) => {
          if (state.refuses === 'release') throw new RejectedError('closed', 'the warehouse is closed');
          note(sagaId, `release ${items[0]!.sku}`);
          return Promise.resolve({ released: 1 });
        }),
  });
  return Object.assign(state, { ...server, applied });
}

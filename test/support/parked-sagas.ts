import { randomUUID } from 'node:crypto';
import type { ActionView, ParkedPage } from '../../src/api/operator-schemas.js';
import type { SagaView } from '../../src/api/schemas.js';
import { claimMessage, claimUndo, markDead, recordAnswer } from '../../src/db/message-log.js';
import { recordState } from '../../src/db/saga-store.js';
import { effectKey, type EffectId } from '../../src/saga/ids.js';
import { postOrder, type TestApi } from './api.js';

/** Whose sagas they are. */
export const TENANT = 'default';
/** What their stock step was sent. */
export const DEDUCT = { orderId: 'o-1', items: [{ sku: 'book', quantity: 2 }] };

/** Sagas that are parked in the ledger, and what an operator asks of the API; no workflow is there. */
export interface ParkedSagas {
  readonly accept: () => Promise<string>;
  readonly parkForward: () => Promise<string>;
  readonly parkBackward: () => Promise<string>;
  readonly act: (sagaId: string, change: object) => Promise<{ status: number; body: ActionView }>;
  readonly parked: (query?: string) => Promise<ParkedPage>;
  readonly view: (sagaId: string) => Promise<SagaView>;
  readonly message: (key: string) => Promise<object | undefined>;
  readonly audit: (sagaId: string) => Promise<Record<string, unknown>[]>;
}

/** Works on an API that is there when its functions are called. */
export function parkedSagas(api: () => TestApi): ParkedSagas {
  const accept = async (): Promise<string> =>
    ((await (await postOrder(api().url)).json()) as { sagaId: string }).sagaId;
  const send = async (effect: EffectId, type: string): Promise<void> => {
    const claim = { effect, tenantId: TENANT, type };
    await (effect.action === 'do'
      ? claimMessage(api().pool, { ...claim, payload: DEDUCT })
      : claimUndo(api().pool, claim));
  };

  /** A saga whose stock cannot be taken, as the participant holds that effect under another payload. */
  const parkForward = async (): Promise<string> => {
    const sagaId = await accept();
    const effect = { sagaId, step: 'stock', action: 'do' } as const;
    const reason = { code: 'effect-key-reused', message: 'stands for another request', step: 'stock' };
    await send(effect, 'inventory.deduct');
    await markDead(api().pool, effectKey(effect), reason);
    await recordState(api().pool, { sagaId, state: 'parked', reason, action: 'do' });
    return sagaId;
  };
  /** A saga whose stock was taken and cannot be given back. */
  const parkBackward = async (): Promise<string> => {
    const sagaId = await accept();
    const effect = { sagaId, step: 'stock', action: 'do' } as const;
    await send(effect, 'inventory.deduct');
    await recordAnswer(api().pool, effectKey(effect), { status: 'sent', result: { reservationId: 'r' } });
    await recordState(api().pool, { sagaId, state: 'compensating', reason: { code: 'no-money', message: 'none' } });
    await send({ ...effect, action: 'undo' }, 'inventory.release');
    const refusal = { code: 'closed', message: 'the warehouse is closed', step: 'stock' };
    await markDead(api().pool, effectKey({ ...effect, action: 'undo' }), refusal);
    await recordState(api().pool, { sagaId, state: 'parked', reason: refusal, action: 'undo' });
    return sagaId;
  };
  const act = async (sagaId: string, change: object): Promise<{ status: number; body: ActionView }> => {
    const response = await fetch(`${api().url}/v1/sagas/${sagaId}/actions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ actionId: randomUUID(), actor: 'ann', reason: 'called the warehouse', ...change }),
    });
    return { status: response.status, body: (await response.json()) as ActionView };
  };
  const parked = async (query = ''): Promise<ParkedPage> =>
    (await (await fetch(`${api().url}/v1/parked${query}`)).json()) as ParkedPage;
  const view = async (sagaId: string): Promise<SagaView> =>
    (await (await fetch(`${api().url}/v1/sagas/${sagaId}`)).json()) as SagaView;
  const message = async (key: string): Promise<object | undefined> =>
    (
      await api().pool.query<object>(
        'select status, revision, payload, result from settle.message_log where effect_key = $1',
        [key],
      )
    ).rows[0];
  const audit = async (sagaId: string): Promise<Record<string, unknown>[]> =>
    (
      await api().pool.query<Record<string, unknown>>(
        'select * from settle.operator_action where subject_id = $1 order by seq',
        [sagaId],
      )
    ).rows;
  return { accept, parkForward, parkBackward, act, parked, view, message, audit };
}

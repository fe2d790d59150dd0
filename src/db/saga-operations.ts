import { effectKey } from '../saga/ids.js';
import { attestEffect, editMessage, permitRepeat, permitUndos, reopenEffect } from './operator-changes.js';
import type { OperatorRequest, Subject } from './operator-subject.js';
import { sagaItems, type ParkedItem } from './parked-items.js';
import { lockParked } from './parked-queries.js';
import type { Transaction } from './pool.js';
import { resolveSaga } from './saga-end.js';
import { recordState } from './saga-store.js';
import type { Operation } from '../saga/operator.js';

/** Locks a saga for an operator's action; undefined when the tenant has none of this id. */
export async function openSaga(
  tx: Transaction,
  { tenantId, subjectId }: Pick<OperatorRequest, 'tenantId' | 'subjectId'>,
): Promise<Subject | undefined> {
  const saga = await lockParked(tx, { tenantId, sagaId: subjectId });
  return (
    saga && {
      ...{ state: saga.state, reason: saga.reason, items: sagaItems(saga) },
      snapshot: (item) => snapshot(tx, item),
      change: (request, item, operation) => change(tx, request, { item, operation }),
    }
  );
}

async function change(
  tx: Transaction,
  request: OperatorRequest,
  { item, operation }: { item: ParkedItem; operation: Operation },
): Promise<void> {
  const { id: sagaId, step, direction } = item;
  const effect = { sagaId, step, action: direction } as const;
  switch (request.action) {
    case 'resolve':
      return resolveSaga(tx, { sagaId, outcome: request.outcome!, reason: operation.reason });
    case 'compensate':
      await recordState(tx, { sagaId, state: 'compensating', reason: operation.reason, givesUp: step });
      if (request.mayRepeat) await permitUndos(tx, sagaId);
      return;
    case 'edit':
      await editMessage(tx, effect, request.payload);
      break;
    case 'skip':
      await attestEffect(tx, effect, {
        ...{ type: item.stepType, action: item.action },
        result: direction === 'undo' ? null : request.result,
      });
      break;
    default:
      await reopenEffect(tx, effect);
  }
  if (request.mayRepeat) await permitRepeat(tx, effect);
  await recordState(tx, { sagaId, state: direction === 'do' ? 'running' : 'compensating', resumes: step });
}

async function snapshot(tx: Transaction, { id, step, direction }: ParkedItem): Promise<string> {
  const { rows } = await tx.query<{ snapshot: string }>(
    `select jsonb_build_object('state', s.state, 'reason', s.reason, 'parked', s.parked,
              'message', (select to_jsonb(m) - array['id', 'saga_id', 'tenant_id', 'txid']
                            from settle.message_log m where effect_key = $2),
              'effect', (select to_jsonb(e) - array['saga_id', 'txid'] from settle.step_effect e where effect_key = $2)
            )::text as snapshot
       from settle.saga s where s.id = $1`,
    [id, effectKey({ sagaId: id, step, action: direction })],
  );
  return rows[0]!.snapshot;
}

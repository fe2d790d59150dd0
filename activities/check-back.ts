import { ApplicationFailure } from '@temporalio/common';
import { findCheckBackUrl, recordCheck, takeCheckTurn, type CheckTurn } from '../src/db/half-message-work.js';
import { decideHalfMessage } from '../src/db/half-messages.js';
import { ParkedError } from '../src/saga/errors.js';
import { toFailure } from './failures.js';
import type { CheckOutcome, HalfMessageActivities, HalfMessageDependencies } from './half-message-activities.js';

const CHECK_RATE = { perSecond: 50, burst: 50 };

/**
 * Asks producers what became of their transactions. A message whose turn at its producer's host is still to come gives its
 * place in the worker back: Temporal runs it again when its turn is there, and the turn is kept for it in the ledger.
 */
export function createCheckBack(dependencies: HalfMessageDependencies): HalfMessageActivities['checkBack'] {
  const { pool, checkBackClient, checkRate = CHECK_RATE } = dependencies;
  return async ({ messageId, timeoutMs }) => {
    try {
      const url = await findCheckBackUrl(pool, messageId);
      const turn = url && (await takeCheckTurn(pool, messageId, { ...checkRate, host: new URL(url).host }));
      if (!turn) throw new ParkedError('unknown-message', `the ledger has no message '${messageId}'`);
      if (turn.verdict) return { verdict: turn.verdict, isAnswered: true };
      if (turn.waitMs > 0) throw notYet(turn.waitMs);
      const answer = await checkBackClient.ask({
        ...{ url: turn.checkBackUrl, batch: turn.batch, timeoutMs },
        question: questionOf(messageId, turn),
      });
      if (answer.kind === 'answered' && answer.verdict !== 'unknown') {
        const key = { messageId, tenantId: turn.tenantId };
        const standing = await decideHalfMessage(pool, key, { verdict: answer.verdict, by: 'check-back' });
        return { verdict: standing!.verdict, isAnswered: true };
      }
      const isAnswered = answer.kind === 'answered';
      await recordCheck(pool, messageId, { isAnswered, detail: isAnswered ? 'no verdict yet' : answer.detail });
      return { verdict: null, isAnswered } satisfies CheckOutcome;
    } catch (error) {
      throw error instanceof ApplicationFailure ? error : toFailure(error);
    }
  };
}

function notYet(waitMs: number): ApplicationFailure {
  const message = `its producer's host is asked as often as it may be; its turn comes in ${waitMs} ms`;
  return ApplicationFailure.create({ message, type: 'NotYet', nextRetryDelay: waitMs });
}

function questionOf(messageId: string, { key, type, tenantId, preparedAt }: CheckTurn): Question {
  return { messageId, key, type, tenantId, preparedAt: preparedAt.toISOString() };
}

type Question = Parameters<HalfMessageDependencies['checkBackClient']['ask']>[0]['question'];

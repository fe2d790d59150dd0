import type pg from 'pg';
import type { ContractTable } from '../src/saga/contracts.js';
import { isSagaId, parseEffectKey } from '../src/saga/ids.js';
import type { Answer } from '../src/saga/outcome.js';
import { recordMessageAnswer } from './message-answers.js';
import type { Ended } from './obtained.js';
import type { Asked } from './reply-desk.js';
import { createStepAnswers } from './step-answers.js';

/** Records an answer to any message, whoever it belongs to; rejects only when the ledger cannot be reached. */
export type Answers = (sent: Asked & { readonly type: string }, answer: Answer) => Promise<Ended>;

/** How answers are recorded by those who know no more of a message than its effect key: as its own activity would. */
export function createAnswers(pool: pg.Pool, contracts: ContractTable): Answers {
  const recordStep = createStepAnswers(pool, contracts);
  return ({ effectKey, revision, type }, answer) => {
    const effect = parseEffectKey(effectKey)!;
    return isSagaId(effect.sagaId)
      ? recordStep({ effect, revision, type }, answer)
      : recordMessageAnswer(pool, { messageId: effect.sagaId, type }, answer);
  };
}

import { setCurrentDetails, upsertSearchAttributes } from '@temporalio/workflow';
import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';
import type { SagaState } from '../src/saga/state.js';

/** What people search sagas by in the Web UI; all are keywords. */
export const TYPE = defineSearchAttributeKey('SettleSagaType', SearchAttributeType.KEYWORD);
export const STATE = defineSearchAttributeKey('SettleState', SearchAttributeType.KEYWORD);
export const BUSINESS_KEY = defineSearchAttributeKey('SettleBusinessKey', SearchAttributeType.KEYWORD);
export const TENANT = defineSearchAttributeKey('SettleTenant', SearchAttributeType.KEYWORD);
const STEP = defineSearchAttributeKey('SettleStep', SearchAttributeType.KEYWORD);

/**
 * Makes a saga's state, and the step that is in trouble, searchable in the Web UI. A saga without a state has never been in trouble:
 * each call is an event in the history, and a write to Temporal's visibility store.
 */
export function showState(state: SagaState, step?: string): void {
  upsertSearchAttributes([
    { key: STATE, value: state },
    { key: STEP, value: step ?? null },
  ]);
}

/** Shows a person who looks at the running workflow what it waits for. */
export function showDetails(details: string): void {
  setCurrentDetails(details);
}

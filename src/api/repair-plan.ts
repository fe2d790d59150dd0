import { needsConsent } from '../db/operator-actions.js';
import { versionOf, type ParkedFilter, type ParkedItem } from '../db/parked-items.js';
import type { NewRepairItem } from '../db/repairs.js';
import type { Reason } from '../saga/errors.js';
import type { RepairAction } from '../saga/repair.js';
import { checkItem } from './operator-check.js';
import type { ApiParts } from './parts.js';
import { ProblemError } from './problems.js';

/** What a repair is planned from. */
export interface RepairQuestion {
  readonly tenantId: string;
  readonly filter: ParkedFilter;
  readonly limit: number;
  readonly action: RepairAction;
}

const PAGE = 200;

/** The calls that a repair is to make, newest first, each with why it may not be made, if so. Changes nothing. */
export async function planRepair(
  parts: Pick<ApiParts, 'ledger' | 'contracts' | 'events' | 'manualWindowMs'>,
  { tenantId, filter, limit, action }: RepairQuestion,
): Promise<readonly NewRepairItem[]> {
  const planned: NewRepairItem[] = [];
  const decided = new Set<string>();
  let before: string | undefined;
  do {
    const page = await parts.ledger.listParked({ tenantId, filter, before, limit: PAGE });
    for (const item of page.items) {
      // the whole saga is meant, whichever of its parked steps
      if (isForTheWhole(action) && decided.has(item.id)) continue;
      decided.add(item.id);
      planned.push(planItem(parts, item, action));
    }
    before = page.last;
  } while (before !== undefined && planned.length < limit);
  return planned.slice(0, limit);
}

function isForTheWhole({ action }: RepairAction): boolean {
  return action === 'resolve' || action === 'compensate';
}

function planItem(
  parts: Pick<ApiParts, 'contracts' | 'events' | 'manualWindowMs'>,
  item: ParkedItem,
  action: RepairAction,
): NewRepairItem {
  const consented = { ...action, mayRepeat: false };
  return {
    ...{ kind: item.kind, subjectId: item.id, step: item.step, effectKey: item.effectKey, version: versionOf(item) },
    mayRepeat: needsConsent(item, consented, parts.manualWindowMs),
    refusal: findRefusal(),
  };

  function findRefusal(): Reason | null {
    if (!item.actions.includes(action.action)) {
      return { code: 'action-not-legal', message: `possible are ${item.actions.join(', ')}` };
    }
    if (needsConsent(item, action, parts.manualWindowMs)) {
      return { code: 'may-repeat-effect', message: 'it is so old that its effect may have been forgotten' };
    }
    return breakage(() => checkItem(parts, item, action));
  }
}

/** Why what was given does not fit an item. */
function breakage(check: () => void): Reason | null {
  try {
    check();
    return null;
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error;
    const faults = (error.options.errors ?? []).map(({ pointer, detail }) => `${pointer} ${detail}`);
    return { code: error.problem, message: faults.join('; ') };
  }
}

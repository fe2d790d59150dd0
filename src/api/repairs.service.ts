import { Inject, Injectable } from '@nestjs/common';
import { v7 } from 'uuid';
import type { RepairItemRecord, RepairKey, RepairRecord } from '../db/repairs.js';
import { isRepairId, repairActionId, repairId } from '../saga/repair.js';
import { hashOf } from './canonical-json.js';
import { PARTS, type ApiParts } from './parts.js';
import { ProblemError } from './problems.js';
import { planRepair } from './repair-plan.js';
import type {
  RepairConfirmation,
  RepairItemView,
  RepairPageQuery,
  RepairRequest,
  RepairView,
} from './repair-schemas.js';
import { cursorAfter } from './schemas.js';

const FIRST_PAGE: RepairPageQuery = { limit: 50 };

/** Previews repairs, lets them run when they are confirmed, and tells how far they are. */
@Injectable()
export class RepairsService {
  constructor(@Inject(PARTS) private readonly parts: ApiParts) {}

  /** Stores which calls a repair would make; makes none. */
  async preview(tenantId: string, body: RepairRequest): Promise<RepairView> {
    const { query, actor, reason, perSecond, ...action } = body;
    const { limit, state: _, ...filter } = query;
    const items = await planRepair(this.parts, { tenantId, filter, limit, action });
    const id = repairId(v7());
    const etag = hashOf({ id, items }).slice(0, 32);
    await this.parts.ledger.createRepair({
      ...{ repairId: id, tenantId, actor, reason, query: filter, action, perSecond, etag, items },
    });
    return this.get({ tenantId, repairId: id }, FIRST_PAGE);
  }

  /** @throws ProblemError `not-found` */
  async get(key: RepairKey, { cursor = '0', limit, status }: RepairPageQuery): Promise<RepairView> {
    const repair = await this.find(key);
    const from = Number(cursor);
    const found = await this.parts.ledger.listRepairItems({ ...key, from, limit: limit + 1, status });
    const next = found[limit];
    return {
      ...this.view(repair),
      items: found.slice(0, limit).map((item) => itemView(repair, item)),
      next: next ? cursorAfter(String(next.position)) : null,
    };
  }

  /**
   * Lets a repair run as it was previewed; repeating it changes nothing.
   *
   * @throws ProblemError `not-found`, `repair-not-as-previewed`, or `repair-ended` when it was cancelled
   */
  async confirm(key: RepairKey, { etag, count }: RepairConfirmation): Promise<RepairView> {
    const { ledger, repairs } = this.parts;
    const repair = await this.find(key);
    if (etag !== repair.etag || count !== countOf(repair)) {
      const members = { etag: repair.etag, count: countOf(repair) };
      throw new ProblemError('repair-not-as-previewed', 'etag and count are those of another preview', { members });
    }
    const hasBegun = await ledger.confirmRepair({ repairId: key.repairId, etag });
    if (hasBegun) repairs.startSoon(repair);
    const view = await this.get(key, FIRST_PAGE);
    if (view.state === 'cancelled') throw ended(view);
    return view;
  }

  /**
   * No further call is made; those under way are finished. Repeating it changes nothing.
   *
   * @throws ProblemError `not-found`, or `repair-ended` when nothing is left to cancel
   */
  async cancel(key: RepairKey): Promise<RepairView> {
    await this.find(key);
    await this.parts.ledger.cancelRepair(key.repairId);
    const view = await this.get(key, FIRST_PAGE);
    if (view.state === 'done') throw ended(view);
    return view;
  }

  private async find(key: RepairKey): Promise<RepairRecord> {
    const repair = isRepairId(key.repairId) ? await this.parts.ledger.findRepair(key) : undefined;
    if (!repair) throw new ProblemError('not-found', 'there is no such repair');
    return repair;
  }

  private view(repair: RepairRecord): Omit<RepairView, 'items' | 'next'> {
    const { action: given, counts, tenantId: _, createdAt, confirmedAt, finishedAt, ...rest } = repair;
    const { action, ...args } = given;
    const { uiUrl, namespace } = this.parts.config.temporal;
    return {
      ...{ ...rest, action, arguments: args, query: { ...rest.query } },
      count: countOf(repair),
      refused: counts.refused ?? 0,
      progress: { planned: counts.planned ?? 0, done: counts.done ?? 0, skipped: counts.skipped ?? 0 },
      createdAt: createdAt.toISOString(),
      confirmedAt: confirmedAt?.toISOString() ?? null,
      finishedAt: finishedAt?.toISOString() ?? null,
      links: { temporal: `${uiUrl}/namespaces/${encodeURIComponent(namespace)}/workflows/${repair.repairId}` },
    };
  }
}

function countOf({ counts }: RepairRecord): number {
  return (counts.planned ?? 0) + (counts.done ?? 0) + (counts.skipped ?? 0);
}

function itemView({ repairId, action }: RepairRecord, item: RepairItemRecord): RepairItemView {
  const { subjectId: id, version: _, at, position, ...rest } = item;
  return {
    ...{ position, id, ...rest, action: action.action, actionId: repairActionId(repairId, position) },
    at: at?.toISOString() ?? null,
  };
}

function ended({ state, repairId }: RepairView): ProblemError {
  return new ProblemError('repair-ended', `the repair is ${state}`, { members: { repairId, state } });
}

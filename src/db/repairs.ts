import type pg from 'pg';
import type { Reason } from '../saga/errors.js';
import type { RepairAction, RepairItemStatus, RepairStart, RepairState } from '../saga/repair.js';
import type { SubjectKind } from '../saga/subject.js';
import type { ParkedFilter } from './parked-items.js';
import { withTransaction } from './pool.js';

/** A repair as an operator has previewed it. */
export interface NewRepair {
  readonly repairId: string;
  readonly tenantId: string;
  readonly actor: string;
  readonly reason: string;
  readonly query: ParkedFilter;
  readonly action: RepairAction;
  readonly perSecond: number;
  readonly etag: string;
  readonly items: readonly NewRepairItem[];
}

/** One call that is to be made, or why it is not. */
export interface NewRepairItem {
  readonly kind: SubjectKind;
  readonly subjectId: string;
  readonly step: string;
  readonly effectKey: string;
  readonly version: string;
  readonly mayRepeat: boolean;
  /** Why it is not acted on; null when it is. */
  readonly refusal: Reason | null;
}

/** Which repair of which tenant. */
export interface RepairKey {
  readonly tenantId: string;
  readonly repairId: string;
}

/** A repair, and how far it is. */
export interface RepairRecord extends Omit<NewRepair, 'items'> {
  readonly state: RepairState;
  readonly createdAt: Date;
  readonly confirmedAt: Date | null;
  readonly finishedAt: Date | null;
  readonly counts: Readonly<Partial<Record<RepairItemStatus, number>>>;
  /** Items, of those that are or were to be acted on, that may repeat the effect. */
  readonly mayRepeat: number;
}

/** One item of a repair, and what became of it. */
export interface RepairItemRecord extends Omit<NewRepairItem, 'refusal'> {
  readonly position: number;
  readonly status: RepairItemStatus;
  readonly reason: Reason | null;
  readonly state: string | null;
  readonly at: Date | null;
}

/** Stores a preview: nothing is done before it is confirmed. */
export async function createRepair(pool: pg.Pool, repair: NewRepair): Promise<void> {
  const { action, ...args } = repair.action;
  await withTransaction(pool, async (tx) => {
    await tx.query(
      `insert into settle.repair (id, tenant_id, actor, reason, query, action, arguments, per_second, etag)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
      [
        ...[repair.repairId, repair.tenantId, repair.actor, repair.reason, JSON.stringify(repair.query), action],
        ...[JSON.stringify(args), repair.perSecond, repair.etag],
      ],
    );
    await tx.query(
      `insert into settle.repair_item
         (repair_id, position, kind, subject_id, step, effect_key, version, may_repeat, status, reason)
       select $1, position - 1, item ->> 'kind', item ->> 'subjectId', item ->> 'step', item ->> 'effectKey',
              item ->> 'version', (item ->> 'mayRepeat')::boolean,
              case jsonb_typeof(item -> 'refusal') when 'null' then 'planned' else 'refused' end,
              nullif(item -> 'refusal', 'null')
         from jsonb_array_elements($2::jsonb) with ordinality as t (item, position)`,
      [repair.repairId, JSON.stringify(repair.items)],
    );
  });
}

/** A repair of a tenant, or undefined. */
export async function findRepair(pool: pg.Pool, { tenantId, repairId }: RepairKey): Promise<RepairRecord | undefined> {
  const { rows } = await pool.query<RepairRecord>(
    `select r.id as "repairId", tenant_id as "tenantId", actor, r.reason, query, per_second as "perSecond", etag, r.state,
            arguments || jsonb_build_object('action', action) as action,
            created_at as "createdAt", confirmed_at as "confirmedAt", finished_at as "finishedAt",
            (select coalesce(jsonb_object_agg(status, n), '{}')
               from (select status, count(*) as n from settle.repair_item where repair_id = r.id group by status) as c) as counts,
            (select count(*) from settle.repair_item where repair_id = r.id and may_repeat and status <> 'refused') as "mayRepeat"
       from settle.repair r where r.id = $1 and tenant_id = $2`,
    [repairId, tenantId],
  );
  return rows[0];
}

/** Items of a repair in order, beginning at a position. */
export async function listRepairItems(
  pool: pg.Pool,
  { repairId, from, limit, status }: { repairId: string; from: number; limit: number; status?: RepairItemStatus },
): Promise<readonly RepairItemRecord[]> {
  const { rows } = await pool.query<RepairItemRecord>(
    `select position, kind, subject_id as "subjectId", step, effect_key as "effectKey", version, may_repeat as "mayRepeat",
            status, reason, state, at
       from settle.repair_item where repair_id = $1 and position >= $2 and ($4::text is null or status = $4)
      order by position limit $3`,
    [repairId, from, limit, status ?? null],
  );
  return rows;
}

/** The API starts the workflow at once; when it could not, the scan does after this. */
const START_GRACE = '3 seconds';

/**
 * Lets a previewed repair run; repeating it changes nothing.
 *
 * @returns whether it has begun by this call
 */
export async function confirmRepair(
  pool: pg.Pool,
  { repairId, etag }: { repairId: string; etag: string },
): Promise<boolean> {
  const { rowCount } = await pool.query(
    `update settle.repair
        set state = 'running', confirmed_at = clock_timestamp(), due_at = clock_timestamp() + interval '${START_GRACE}'
      where id = $1 and etag = $2 and state = 'previewed'`,
    [repairId, etag],
  );
  return rowCount === 1;
}

/** Cancels a repair that is not over: calls under way are finished, no other begins. */
export async function cancelRepair(pool: pg.Pool, repairId: string): Promise<void> {
  await pool.query(
    `update settle.repair set state = 'cancelled', finished_at = clock_timestamp(), due_at = null
      where id = $1 and state in ('previewed', 'running')`,
    [repairId],
  );
}

/** What the workflow of a repair is started with. */
export function startOfRepair({ repairId, tenantId, perSecond }: RepairStart): RepairStart {
  return { repairId, tenantId, perSecond };
}

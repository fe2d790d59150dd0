import type { Databases } from './collect.js';
import type { LiveProblem } from './evidence.js';

/** Watches money and stock while the run is on. */
export interface LiveWatch {
  readonly problems: readonly LiveProblem[];
  /** How many snapshots have been taken. */
  readonly snapshots: () => number;
  stop(): Promise<void>;
}

/** Money neither appears nor vanishes, and each account holds what its entries say: one statement is one snapshot. */
const MONEY = `
  select 'balances add up to ' || sum(balance) || ', opened with ' || sum(opening) as problem
    from accounts.account having sum(balance) <> sum(opening)
  union all
  select 'account ' || id || ' holds ' || balance || ', entries say ' || opening + moved
    from accounts.account join (select account_id, sum(amount) as moved from accounts.entry group by 1) as entries on account_id = id
   where balance <> opening + moved or (balance < 0 and not allow_negative)
  union all
  select 'entries of ' || effect_key || ' add up to ' || sum(amount)
    from accounts.entry group by effect_key having sum(amount) <> 0`;

const STOCK = `
  select 'stock of ' || sku || ' is ' || on_hand || ', movements say ' || opening + coalesce(moved, 0) as problem
    from inventory.stock left join (select sku, sum(quantity) as moved from inventory.movement group by 1) as movements using (sku)
   where on_hand <> opening + coalesce(moved, 0) or on_hand < 0 or on_hand + sold <> opening`;

const EVERY_MS = 1_000;

/** Takes a snapshot of each database every second; a database that is away is looked at again when it is back. */
export function watchBooks({ accounts, inventory }: Databases): LiveWatch {
  const problems: LiveProblem[] = [];
  let snapshots = 0;
  let isStopping = false;
  const look = async (): Promise<void> => {
    const money = await accounts.query<{ problem: string }>(MONEY);
    const stock = await inventory.query<{ problem: string }>(STOCK);
    const at = Date.now();
    problems.push(...money.rows.map(({ problem }) => ({ at, invariant: 'I10' as const, detail: problem })));
    problems.push(...stock.rows.map(({ problem }) => ({ at, invariant: 'I11' as const, detail: problem })));
    snapshots += 1;
  };
  const rounds = async (): Promise<void> => {
    while (!isStopping) {
      // killed on purpose at times; `snapshots` shows that most looks succeed
      await look().catch(() => undefined);
      const next = Date.now() + EVERY_MS;
      while (!isStopping && Date.now() < next) await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await look();
  };
  const watching = rounds();
  return {
    problems,
    snapshots: () => snapshots,
    stop: async () => {
      isStopping = true;
      await watching;
    },
  };
}

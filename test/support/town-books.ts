import type { Town } from './town.js';

/** What a saga has moved between accounts, by their kinds. */
export function entriesOf(town: Town, sagaId: string): Promise<{ kind: string; amount: number }[]> {
  return town.query(
    'accounts',
    `select kind, sum(amount)::int as amount from accounts.entry join accounts.account on account.id = account_id
      where saga_id = $1 group by kind order by kind`,
    [sagaId],
  );
}

/** The entries of a payment that happened. */
export const PAID = [
  { kind: 'customer', amount: -5_000 },
  { kind: 'holding', amount: 0 },
  { kind: 'merchant', amount: 5_000 },
];

/** What each service keeps of a registration that is still so. */
export async function tracesOf(town: Town, sagaId: string): Promise<object> {
  const [profiles] = await town.query(
    'profiles',
    `select (select count(*)::int from profiles.profile where saga_id = $1 and status = 'active') as profiles,
            (select count(*)::int from profiles.preferences where saga_id = $1 and status = 'active') as preferences,
            (select count(*)::int from profiles.mail where saga_id = $1) as mails`,
    [sagaId],
  );
  const [money] = await town.query(
    'accounts',
    `select coalesce(sum(amount) filter (where kind = 'customer'), 0)::int as credit, coalesce(sum(amount), 0)::int as total
       from accounts.entry join accounts.account on account.id = account_id where saga_id = $1`,
    [sagaId],
  );
  return { ...profiles, ...money };
}

/** Of a registration that was undone. */
export const NOTHING = { profiles: 0, preferences: 0, mails: 0, credit: 0, total: 0 };
/** Of one that happened. */
export const EVERYTHING = { profiles: 1, preferences: 1, mails: 1, credit: 500, total: 0 };

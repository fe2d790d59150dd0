import type pg from 'pg';

/** A digest of every row of each table of the producer's database: equal before and after means that nothing was changed. */
export async function digestOfRows(pool: Pick<pg.Pool, 'query'>): Promise<Readonly<Record<string, string>>> {
  const { rows: tables } = await pool.query<{ name: string }>(
    `select format('%I.%I', n.nspname, c.relname) as name
     from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind in ('r', 'p') and not c.relispartition and n.nspname !~ '^(pg_|information_schema)'
     order by 1`,
  );
  const digest = async ({ name }: { name: string }): Promise<readonly [string, string]> => {
    const text = `select count(*) || ' ' || coalesce(md5(string_agg(t::text, '' order by t::text)), '') as digest from ${name} t`;
    return [name, (await pool.query<{ digest: string }>(text)).rows[0]!.digest];
  };
  return Object.fromEntries(await Promise.all(tables.map(digest)));
}

import type pg from 'pg';

/** What has become of answers so far, by all workers together. */
export interface ReplyCount {
  readonly transport: string;
  readonly verdict: string;
  readonly count: number;
}

/** Adds to the counts of all workers together. */
export async function addReplyCounts(pool: pg.Pool, counts: readonly ReplyCount[]): Promise<void> {
  // in one order, or two workers could wait for each other
  const sorted = counts.toSorted((a, b) => (`${a.transport} ${a.verdict}` < `${b.transport} ${b.verdict}` ? -1 : 1));
  await pool.query({
    name: 'add-reply-counts',
    text: `insert into settle.reply_count as known (transport, verdict, count)
           select * from unnest($1::text[], $2::text[], $3::bigint[])
           on conflict (transport, verdict) do update set count = known.count + excluded.count`,
    values: [
      sorted.map(({ transport }) => transport),
      sorted.map(({ verdict }) => verdict),
      sorted.map(({ count }) => count),
    ],
  });
}

/** Reads the counts. */
export async function listReplyCounts(pool: pg.Pool): Promise<readonly ReplyCount[]> {
  const { rows } = await pool.query<ReplyCount>(
    'select transport, verdict, count from settle.reply_count order by transport, verdict',
  );
  return rows;
}

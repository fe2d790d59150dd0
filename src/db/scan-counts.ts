import type pg from 'pg';

/** What a round of the ledger scan found of one kind. */
export interface ScanFindings {
  /** Looked at. */
  readonly due: number;
  /** Had no workflow: never started, or Temporal has lost it. */
  readonly started: number;
  /** Could not be helped now; the next round tries again. */
  readonly failed: number;
}

/** What the scan has found so far, of one kind. */
export interface ScanCount extends ScanFindings {
  readonly kind: string;
  /** When the last round ended that is counted here. */
  readonly roundAt: Date;
}

/** Adds findings, by kind, to the counts of all workers together. */
export async function addScanFindings(pool: pg.Pool, findings: Readonly<Record<string, ScanFindings>>): Promise<void> {
  const kinds = Object.keys(findings);
  const each = Object.values(findings);
  await pool.query({
    name: 'add-scan-findings',
    text: `insert into settle.scan_count as known (kind, due, started, failed)
           select * from unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[])
           on conflict (kind) do update
              set due = known.due + excluded.due, started = known.started + excluded.started,
                  failed = known.failed + excluded.failed, round_at = excluded.round_at`,
    values: [kinds, each.map(({ due }) => due), each.map(({ started }) => started), each.map(({ failed }) => failed)],
  });
}

/** Reads the counts of every kind. */
export async function listScanCounts(pool: pg.Pool): Promise<readonly ScanCount[]> {
  const { rows } = await pool.query<ScanCount>(
    `select kind, due, started, failed, round_at as "roundAt" from settle.scan_count order by kind`,
  );
  return rows;
}

import type pg from 'pg';
import { Agent, request } from 'undici';
import { withTransaction } from '../../src/db/pool.js';
import { ENVELOPE_HEADERS } from '../../src/saga/envelope.js';

const BATCH = 200;
const LOOPS = 2;

/**
 * What one writes by hand, to compare the relay with: claim a batch, POST it (the same requests), mark it, commit. No lease, no outcome grammar, no
 * order, no back-off. Two at once, so that one is at the database while the other is at the participant.
 */
export async function runBareLoop(pool: pg.Pool, url: string): Promise<void> {
  const agent = new Agent({ connections: 64, pipelining: 1 });
  const loop = async (): Promise<void> => {
    while ((await withTransaction(pool, (tx) => sendBatch(tx, agent, url))) > 0);
  };
  await Promise.all(Array.from({ length: LOOPS }, loop));
  await agent.close();
}

interface Row {
  readonly key: string;
  readonly type: string;
  readonly tenant: string;
  readonly at: Date;
  readonly revision: number;
  readonly payload: unknown;
}

async function sendBatch(tx: pg.PoolClient, agent: Agent, url: string): Promise<number> {
  const { rows } = await tx.query<Row>({
    name: 'bare-claim',
    text: `select effect_key as key, type, tenant_id as tenant, created_at as at, revision, payload from settle.message_log
            where due_at <= now() and not in_workflow and type = 'bare.note' order by due_at limit $1 for update skip locked`,
    values: [BATCH],
  });
  if (rows.length === 0) return 0;
  const sent = await Promise.all(rows.map(async (row) => ((await post(agent, url, row)) ? [row.key] : [])));
  await tx.query({
    name: 'bare-mark',
    text: `update settle.message_log set status = 'sent', due_at = null, finished_at = now() where effect_key = any($1)`,
    values: [sent.flat()],
  });
  return rows.length;
}

async function post(agent: Agent, url: string, row: Row): Promise<boolean> {
  const id = row.key.slice(0, row.key.indexOf('/'));
  const { statusCode, body } = await request(url, {
    method: 'POST',
    dispatcher: agent,
    headers: {
      'content-type': 'application/json',
      accept: 'application/json',
      [ENVELOPE_HEADERS.specVersion]: '1.0',
      [ENVELOPE_HEADERS.messageId]: id,
      [ENVELOPE_HEADERS.source]: '/bare',
      [ENVELOPE_HEADERS.type]: row.type,
      [ENVELOPE_HEADERS.time]: row.at.toISOString(),
      [ENVELOPE_HEADERS.sagaId]: id,
      [ENVELOPE_HEADERS.tenantId]: row.tenant,
      [ENVELOPE_HEADERS.revision]: String(row.revision),
      [ENVELOPE_HEADERS.effectKey]: row.key,
    },
    body: JSON.stringify(row.payload),
    signal: AbortSignal.timeout(5_000),
  });
  await body.text();
  return statusCode === 200;
}

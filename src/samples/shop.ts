import pg from 'pg';

/** A gift as the demo's shop gives it. */
export interface Gift {
  /** The message type. */
  readonly type: string;
  readonly payload: object;
  /** Whether its transaction is committed, or undone. */
  readonly isCommitted: boolean;
}

/**
 * Plays a program that has nothing of Settle but its SQL function: writes a row of its own and sends a message, in one
 * transaction. For the demo.
 *
 * @returns the message's id
 */
export async function giveInSql(databaseUrl: string, gift: Gift): Promise<{ readonly messageId: string }> {
  const client = new pg.Client({ connectionString: databaseUrl, application_name: 'demo-shop' });
  await client.connect();
  try {
    await client.query('create temporary table if not exists gift (payload jsonb not null)');
    await client.query('begin');
    await client.query('insert into gift (payload) values ($1)', [JSON.stringify(gift.payload)]);
    const { rows } = await client.query<{ id: string }>('select settle.send($1, $2) as id', [
      gift.type,
      JSON.stringify(gift.payload),
    ]);
    await client.query(gift.isCommitted ? 'commit' : 'rollback');
    return { messageId: rows[0]!.id };
  } finally {
    await client.end();
  }
}

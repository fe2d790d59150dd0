import pg from 'pg';
import type { ParticipantDatabases } from './participants.js';

/** What the books of the participants say, at one moment each. */
export interface Audit {
  /** By sku; `opening` is always `onHand + sold`. */
  readonly stock: ReadonlyMap<string, { readonly opening: number; readonly onHand: number; readonly sold: number }>;
  /** In minor units, over all accounts: whatever is taken from one is given to another, so that both are always the same. */
  readonly money: { readonly opening: number; readonly balance: number };
  /** What the merchant has taken, in minor units. */
  readonly takings: number;
  /** What is set aside for payments under way, in minor units. */
  readonly held: number;
  /** What the fund has given, in minor units. */
  readonly credits: number;
  /** How many of each there are. */
  readonly users: { readonly profiles: number; readonly preferences: number; readonly mails: number };
}

/** Reads the books of the participants. */
export async function auditParticipants(urls: ParticipantDatabases): Promise<Audit> {
  const stock = await query<{ sku: string; opening: string; on_hand: string; sold: string }>(
    urls.inventoryDatabaseUrl,
    'select sku, opening, on_hand, sold from inventory.stock',
  );
  const [sums] = await query<Record<'opening' | 'balance' | 'takings' | 'held' | 'credits', string>>(
    urls.accountsDatabaseUrl,
    `select sum(opening) as opening, sum(balance) as balance, sum(balance) filter (where kind = 'merchant') as takings,
            sum(balance) filter (where kind = 'holding') as held, -sum(balance) filter (where kind = 'fund') as credits
       from accounts.account`,
  );
  const [users] = await query<Record<'profiles' | 'preferences' | 'mails', string>>(
    urls.profilesDatabaseUrl,
    `select (select count(*) from profiles.profile where status = 'active') as profiles,
            (select count(*) from profiles.preferences where status = 'active') as preferences,
            (select count(*) from profiles.mail) as mails`,
  );
  return {
    stock: new Map(
      stock.map((row) => [
        row.sku,
        { opening: Number(row.opening), onHand: Number(row.on_hand), sold: Number(row.sold) },
      ]),
    ),
    money: { opening: Number(sums?.opening), balance: Number(sums?.balance) },
    takings: Number(sums?.takings),
    held: Number(sums?.held),
    credits: Number(sums?.credits),
    users: {
      profiles: Number(users?.profiles),
      preferences: Number(users?.preferences),
      mails: Number(users?.mails),
    },
  };
}

/**
 * Makes the inventory service wait for one sku, as it does when another order holds it: for showing what happens meanwhile.
 *
 * @returns lets it go on
 */
export async function holdSku(
  { inventoryDatabaseUrl }: ParticipantDatabases,
  sku: string,
): Promise<() => Promise<void>> {
  const client = await connect(inventoryDatabaseUrl);
  await client.query('begin');
  await client.query('select from inventory.stock where sku = $1 for update', [sku]);
  // ending the connection gives the lock back
  return () => client.end();
}

async function query<Row extends pg.QueryResultRow>(url: string, sql: string): Promise<Row[]> {
  const client = await connect(url);
  try {
    return (await client.query<Row>(sql)).rows;
  } finally {
    await client.end();
  }
}

async function connect(connectionString: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString, connectionTimeoutMillis: 5_000, application_name: 'settle-audit' });
  // a connection that breaks between two queries would end the process; the next query reports it
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

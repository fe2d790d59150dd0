import fc from 'fast-check';
import type pg from 'pg';
import { accounts, inventory } from '../../src/messages/index.js';
import { createParticipant, type InboxAnswer, type Participant } from '../../src/participant/index.js';
import type { StepAction } from '../../src/saga/ids.js';
import { registerAccounts } from '../../src/samples/accounts.js';
import { registerInventory } from '../../src/samples/inventory.js';
import { migrateParticipants, seedParticipants, type ParticipantDatabases } from '../../src/samples/participants.js';
import { useDatabase } from '../support/databases.js';
import { freshSagaId, messageFor, repeat } from '../support/participant-kit.js';
import { openPool } from '../support/pools.js';

const stockDatabase = useDatabase('inventory');
const moneyDatabase = useDatabase('accounts');
const profilesDatabase = useDatabase('profiles');
let stockPool: pg.Pool;
let moneyPool: pg.Pool;
let stock: Participant;
let money: Participant;

beforeAll(async () => {
  const urls = databaseUrls();
  await Promise.all(Array.from({ length: 10 }, () => migrateParticipants(urls)));
  await seedParticipants(urls);
  stockPool = openPool(stockDatabase.url, { name: 'settle-test', max: 35 });
  moneyPool = openPool(moneyDatabase.url, { name: 'settle-test', max: 35 });
  stock = registerInventory(createParticipant({ consumer: 'inventory', pool: stockPool })).build();
  money = registerAccounts(createParticipant({ consumer: 'accounts', pool: moneyPool })).build();
});

afterAll(async () => {
  await stockPool?.end();
  await moneyPool?.end();
});

function databaseUrls(): ParticipantDatabases {
  return {
    inventoryDatabaseUrl: stockDatabase.url,
    accountsDatabaseUrl: moneyDatabase.url,
    profilesDatabaseUrl: profilesDatabase.url,
  };
}

type Items = readonly { sku: string; quantity: number }[];

function sendStock(sagaId: string, action: StepAction, items: Items): Promise<InboxAnswer> {
  const type = action === 'do' ? inventory.deduct.type : inventory.release.type;
  return stock.deliver(messageFor({ sagaId, step: 'stock', action, type, payload: { orderId: `o-${sagaId}`, items } }));
}

interface Payment {
  readonly account: string;
  readonly amount: number;
  readonly currency?: string;
}

function sendMoney(
  sagaId: string,
  action: StepAction,
  { account, amount, currency = 'EUR' }: Payment,
): Promise<InboxAnswer> {
  const type = action === 'do' ? accounts.debit.type : accounts.refund.type;
  const payload = { orderId: `o-${sagaId}`, account, currency, amount };
  return money.deliver(messageFor({ sagaId, step: 'payment', action, type, payload }));
}

async function onHand(sku: string): Promise<number> {
  const { rows } = await stockPool.query<{ on_hand: number }>('select on_hand from inventory.stock where sku = $1', [
    sku,
  ]);
  return rows[0]!.on_hand;
}

async function balanceOf(account: string): Promise<number> {
  const { rows } = await moneyPool.query<{ balance: number }>('select balance from accounts.account where id = $1', [
    account,
  ]);
  return rows[0]!.balance;
}

/** What must be empty after anything. */
const VIOLATIONS = {
  'stock that its movements do not explain': `
    select s.sku from inventory.stock s left join inventory.movement m using (sku)
     group by s.sku, s.opening, s.on_hand having s.opening + coalesce(sum(m.quantity), 0) <> s.on_hand`,
  'movements that are not of the inbox row’s transaction': `
    select m.effect_key from inventory.movement m left join inventory.inbox i using (effect_key)
     where i.txid is distinct from m.txid or i.status <> 'applied'`,
  'applied deductions without a movement': `
    select i.effect_key from inventory.inbox i left join inventory.movement m using (effect_key)
     where i.action = 'do' and i.status = 'applied' and m.effect_key is null`,
  'reservations that disagree with the inbox': `
    select r.effect_key from inventory.reservation r
      left join inventory.inbox u on u.effect_key = regexp_replace(r.effect_key, 'do$', 'undo') and u.status = 'applied'
     where (r.status = 'released') <> (u.effect_key is not null)`,
  'balances that their entries do not explain': `
    select a.id from accounts.account a left join accounts.entry e on e.account_id = a.id
     group by a.id, a.opening, a.balance having a.opening + coalesce(sum(e.amount), 0) <> a.balance`,
  'effects whose entries do not sum to 0': `
    select effect_key from accounts.entry group by effect_key having sum(amount) <> 0 or count(*) <> 2`,
  'entries that are not of the inbox row’s transaction': `
    select e.effect_key from accounts.entry e left join accounts.inbox i using (effect_key)
     where i.txid is distinct from e.txid or i.status <> 'applied'`,
  'money made or lost': `
    select sum(balance), sum(opening) from accounts.account having sum(balance) <> sum(opening)`,
};

async function checkBooks(): Promise<void> {
  for (const [name, sql] of Object.entries(VIOLATIONS)) {
    const { rows } = await (sql.includes(' accounts.') ? moneyPool : stockPool).query(sql);
    expect({ [name]: rows }).toEqual({ [name]: [] });
  }
}

afterEach(checkBooks);

describe('the inventory service', () => {
  it('takes stock and puts it back', async () => {
    const saga = freshSagaId();
    const before = await onHand('book');
    const taken = await sendStock(saga, 'do', [{ sku: 'book', quantity: 3 }]);
    expect(taken).toMatchObject({ kind: 'applied', result: { reservationId: `${saga}/stock/do` } });
    expect(await onHand('book')).toBe(before - 3);
    expect(await sendStock(saga, 'undo', [{ sku: 'book', quantity: 3 }])).toMatchObject({ result: { released: 3 } });
    expect(await onHand('book')).toBe(before);
  });

  it.each([
    ['sold-out', 1],
    ['rare', 2],
    ['book', Number.MAX_SAFE_INTEGER],
  ])('refuses more of %s than there is, and takes nothing of the rest', async (sku, quantity) => {
    const before = await onHand('book');
    const others = sku === 'book' ? [] : [{ sku: 'book', quantity: 1 }];
    const answer = await sendStock(freshSagaId(), 'do', [...others, { sku, quantity }]);
    expect(answer).toMatchObject({ kind: 'rejected', reason: { code: 'out-of-stock' } });
    expect(answer).toHaveProperty('reason.message', `there is not enough of '${sku}'`);
    expect(await onHand('book')).toBe(before);
  });

  it('refuses a sku that it does not have', async () => {
    const answer = await sendStock(freshSagaId(), 'do', [
      { sku: 'book', quantity: 1 },
      { sku: 'unicorn', quantity: 1 },
    ]);
    expect(answer).toMatchObject({
      kind: 'rejected',
      reason: { code: 'unknown-sku', message: "there is no sku 'unicorn'" },
    });
  });

  it('adds up a sku that is named twice, beyond what 64 bits hold too', async () => {
    const saga = freshSagaId();
    await sendStock(saga, 'do', [
      { sku: 'book', quantity: 1 },
      { sku: 'book', quantity: 2 },
    ]);
    expect(await sendStock(saga, 'undo', [])).toMatchObject({ kind: 'rejected', reason: { code: 'invalid-payload' } });
    const huge = Array.from({ length: 2_000 }, () => ({ sku: 'book', quantity: Number.MAX_SAFE_INTEGER }));
    expect(await sendStock(freshSagaId(), 'do', huge)).toMatchObject({ reason: { code: 'out-of-stock' } });
  });

  it('sells the last one once, however many want it at the same moment', async () => {
    const sagas = Array.from({ length: 20 }, freshSagaId);
    const answers = await Promise.all(sagas.map((saga) => sendStock(saga, 'do', [{ sku: 'rare', quantity: 1 }])));
    expect(answers.filter(({ kind }) => kind === 'applied')).toHaveLength(1);
    await Promise.all(sagas.map((saga) => sendStock(saga, 'undo', [{ sku: 'rare', quantity: 1 }])));
    expect(await onHand('rare')).toBe(1);
  });

  it('never lets orders of several skus wait for each other in a circle', async () => {
    await stockPool.query(`insert into inventory.stock (sku, opening, on_hand)
                      select 'multi-' || n, 500, 500 from generate_series(1, 8) as n`);
    const deadlocks = await countDeadlocks(stockPool);
    const skus = Array.from({ length: 8 }, (_, at) => `multi-${at + 1}`);
    const orders = fc.sample(fc.shuffledSubarray(skus, { minLength: 2 }), 120);
    await repeat(orders.length, async (at) => {
      const saga = freshSagaId();
      const items = orders[at]!.map((sku) => ({ sku, quantity: 1 }));
      await sendStock(saga, 'do', items);
      if (at % 3 === 0) await sendStock(saga, 'undo', items);
    });
    expect(await countDeadlocks(stockPool)).toBe(deadlocks);
  });
});

async function countDeadlocks(pool: pg.Pool): Promise<number> {
  await pool.query('select pg_stat_force_next_flush()');
  const { rows } = await pool.query<{ deadlocks: number }>(
    'select deadlocks from pg_stat_database where datname = current_database()',
  );
  return rows[0]!.deadlocks;
}

describe('the accounts service', () => {
  it('takes money and gives it back', async () => {
    const saga = freshSagaId();
    const taken = await sendMoney(saga, 'do', { account: 'c-1', amount: 1_999 });
    expect(taken).toMatchObject({ kind: 'applied', result: { entryId: `${saga}/payment/do`, balance: 99_998_001 } });
    const given = await sendMoney(saga, 'undo', { account: 'c-1', amount: 1_999 });
    expect(given).toMatchObject({ kind: 'applied', result: { refunded: 1_999 } });
    expect(await balanceOf('c-1')).toBe(100_000_000);
  });

  it.each([
    ['insufficient-funds', { account: 'c-poor', amount: 1 }],
    ['insufficient-funds', { account: 'c-2', amount: Number.MAX_SAFE_INTEGER }],
    ['unknown-account', { account: 'nobody', amount: 1 }],
    ['unknown-account', { account: 'merchant-00', amount: 1 }],
    ['currency-mismatch', { account: 'c-2', amount: 1, currency: 'USD' }],
  ])('refuses with %s', async (code, payment) => {
    expect(await sendMoney(freshSagaId(), 'do', payment)).toMatchObject({ kind: 'rejected', reason: { code } });
  });

  it('refuses a currency that the merchant does not take, and leaves the customer alone', async () => {
    await moneyPool.query(
      `insert into accounts.account (id, kind, currency, opening, balance) values ('c-yen', 'customer', 'JPY', 500, 500)`,
    );
    const answer = await sendMoney(freshSagaId(), 'do', { account: 'c-yen', amount: 1, currency: 'JPY' });
    expect(answer).toMatchObject({ kind: 'rejected', reason: { code: 'currency-mismatch' } });
    expect(await balanceOf('c-yen')).toBe(500);
  });

  it('never takes more than is there, however many payments come at the same moment', async () => {
    await moneyPool.query(
      `insert into accounts.account (id, kind, currency, opening, balance) values ('c-ten', 'customer', 'EUR', 10, 10)`,
    );
    const sagas = Array.from({ length: 30 }, freshSagaId);
    const answers = await Promise.all(sagas.map((saga) => sendMoney(saga, 'do', { account: 'c-ten', amount: 3 })));
    expect(answers.filter(({ kind }) => kind === 'applied')).toHaveLength(3);
    expect(await balanceOf('c-ten')).toBe(1);
  });

  it('conserves money under payments, refunds and duplicates at the same moment', async () => {
    const deadlocks = await countDeadlocks(moneyPool);
    await repeat(100, async (at) => {
      const saga = freshSagaId();
      const payment = { account: `c-${1 + (at % 5)}`, amount: 1 + at };
      await Promise.all([sendMoney(saga, 'do', payment), sendMoney(saga, 'do', payment)]);
      if (at % 2 === 0) await Promise.all([sendMoney(saga, 'undo', payment), sendMoney(saga, 'undo', payment)]);
    });
    expect(await countDeadlocks(moneyPool)).toBe(deadlocks);
  });
});

describe('the seed', () => {
  it('opens what the demonstration needs, and changes nothing when it runs again', async () => {
    await sendStock(freshSagaId(), 'do', [{ sku: 'book', quantity: 1 }]);
    const before = await onHand('book');
    await seedParticipants(databaseUrls());
    expect(await onHand('book')).toBe(before);
    const { rows } = await moneyPool.query(`
      select count(*) filter (where opening = 100000000) as rich, count(*) filter (where id = 'c-poor' and opening = 0) as poor,
             count(*) filter (where kind = 'merchant') as merchants from accounts.account`);
    expect(rows).toEqual([{ rich: 1_000, poor: 1, merchants: 16 }]);
  });
});

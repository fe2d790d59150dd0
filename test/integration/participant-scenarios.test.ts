import type pg from 'pg';
import { accounts, profiles } from '../../src/messages/index.js';
import { createParticipant, type InboxAnswer, type Participant } from '../../src/participant/index.js';
import type { StepAction } from '../../src/saga/ids.js';
import { ACCOUNTS_SEED } from '../../src/samples/accounts-schema.js';
import { registerAccounts } from '../../src/samples/accounts.js';
import { registerProfiles } from '../../src/samples/profiles.js';
import { useDatabase } from '../support/databases.js';
import { freshSagaId, messageFor } from '../support/participant-kit.js';
import { openPool } from '../support/pools.js';

const moneyDatabase = useDatabase('accounts');
const profilesDatabase = useDatabase('profiles');
let moneyPool: pg.Pool;
let profilesPool: pg.Pool;
let money: Participant;
let people: Participant;

beforeAll(async () => {
  moneyPool = openPool(moneyDatabase.url, { name: 'settle-test', max: 30 });
  profilesPool = openPool(profilesDatabase.url, { name: 'settle-test', max: 5 });
  await moneyPool.query(ACCOUNTS_SEED);
  money = registerAccounts(createParticipant({ consumer: 'accounts', pool: moneyPool })).build();
  people = registerProfiles(createParticipant({ consumer: 'profiles', pool: profilesPool })).build();
});

afterAll(async () => {
  await moneyPool?.end();
  await profilesPool?.end();
});

interface Sent {
  readonly saga: string;
  readonly step: string;
  readonly action?: StepAction;
  readonly payload: unknown;
}

const send = (to: Participant, type: string, { saga, ...parts }: Sent): Promise<InboxAnswer> =>
  to.deliver(messageFor({ sagaId: saga, type, ...parts }));

const reservation = (saga: string, change: object = {}): Sent => ({
  ...{ saga, step: 'reservation' },
  payload: { paymentId: 'p-1', account: 'c-1', currency: 'EUR', amount: 100, ...change },
});
const reserve = (saga: string, change?: object): Promise<InboxAnswer> =>
  send(money, accounts.reserve.type, reservation(saga, change));
const release = (saga: string): Promise<InboxAnswer> =>
  send(money, accounts.release.type, { ...reservation(saga), action: 'undo' });
const capture = (saga: string, reservationId = `${saga}/reservation/do`): Promise<InboxAnswer> =>
  send(money, accounts.capture.type, { saga, step: 'capture', payload: { paymentId: 'p-1', reservationId } });

async function balanceOf(id: string): Promise<number> {
  return (await moneyPool.query<{ balance: number }>('select balance from accounts.account where id = $1', [id]))
    .rows[0]!.balance;
}

async function sumsOf(saga: string): Promise<Record<string, number>> {
  const { rows } = await moneyPool.query<{ kind: string; sum: number }>(
    `select kind, sum(amount)::bigint as sum from accounts.entry join accounts.account on account.id = account_id
      where saga_id = $1 group by kind`,
    [saga],
  );
  return Object.fromEntries(rows.map(({ kind, sum }) => [kind, sum]));
}

describe('money that is set aside', () => {
  it('goes to the merchant once, however often it is captured', async () => {
    const saga = freshSagaId();
    expect(await reserve(saga)).toMatchObject({ kind: 'applied' });
    await Promise.all(Array.from({ length: 20 }, () => capture(saga)));
    expect(await sumsOf(saga)).toEqual({ customer: -100, holding: 0, merchant: 100 });
  });

  it('goes back to its account, and can be captured no more', async () => {
    const saga = freshSagaId();
    await reserve(saga);
    await release(saga);
    expect(await capture(saga)).toMatchObject({ kind: 'rejected', reason: { code: 'no-reservation' } });
    expect(await sumsOf(saga)).toEqual({ customer: 0, holding: 0 });
  });

  it('is never both taken and given back, whichever comes first', async () => {
    for (let round = 0; round < 10; round += 1) {
      const saga = freshSagaId();
      await reserve(saga);
      await Promise.allSettled([capture(saga), release(saga)]);
      const { customer, holding, merchant = 0 } = await sumsOf(saga);
      expect([customer, holding, merchant]).toEqual([-merchant || 0, 0, merchant]);
    }
  });

  it('belongs to its saga: another one cannot capture it', async () => {
    const saga = freshSagaId();
    await reserve(saga);
    expect(await capture(freshSagaId(), `${saga}/reservation/do`)).toMatchObject({
      ...{ kind: 'rejected', reason: { code: 'no-reservation' } },
    });
  });

  it.each([
    [{ account: 'nobody' }, 'unknown-account'],
    [{ account: 'c-closed' }, 'account-closed'],
    [{ account: 'merchant-00' }, 'unknown-account'],
    [{ account: 'c-poor' }, 'insufficient-funds'],
    [{ currency: 'USD' }, 'currency-mismatch'],
  ])('is refused, and nothing is moved: %j', async (change, code) => {
    const saga = freshSagaId();
    expect(await reserve(saga, change)).toMatchObject({ kind: 'rejected', reason: { code } });
    expect(await sumsOf(saga)).toEqual({});
  });

  it('is given back to an account that was closed meanwhile, and a closed account pays no order', async () => {
    const saga = freshSagaId();
    await reserve(saga, { account: 'c-9' });
    await moneyPool.query(`update accounts.account set closed_at = clock_timestamp() where id = 'c-9'`);
    await release(saga);
    expect(await balanceOf('c-9')).toBe(100_000_000);
    const payload = { orderId: 'o-1', account: 'c-9', currency: 'EUR', amount: 1 };
    expect(await send(money, accounts.debit.type, { saga: freshSagaId(), step: 'payment', payload })).toMatchObject({
      ...{ kind: 'rejected', reason: { code: 'account-closed' } },
    });
  });
});

describe('a welcome credit', () => {
  const credit = (saga: string, action: StepAction = 'do'): Promise<InboxAnswer> =>
    send(money, action === 'do' ? accounts.credit.type : accounts.takeBack.type, {
      ...{ saga, step: 'credit', action },
      payload: { userId: saga, account: saga, currency: 'EUR', amount: 500 },
    });

  it('opens the account that it is given to; taking it back closes it', async () => {
    const saga = freshSagaId();
    expect(await credit(saga)).toMatchObject({ kind: 'applied', result: { balance: 500 } });
    expect(await sumsOf(saga)).toEqual({ customer: 500, fund: -500 });
    expect(await credit(saga, 'undo')).toMatchObject({ kind: 'applied' });
    expect(await sumsOf(saga)).toEqual({ customer: 0, fund: 0 });
    expect(await reserve(freshSagaId(), { account: saga })).toMatchObject({ reason: { code: 'account-closed' } });
  });

  it('is taken back even when it was spent meanwhile: the closed account is left in debt', async () => {
    const saga = freshSagaId();
    await credit(saga);
    const spending = freshSagaId();
    await reserve(spending, { account: saga, amount: 400 });
    await capture(spending);
    expect(await credit(saga, 'undo')).toMatchObject({ kind: 'applied', result: { takenBack: 500 } });
    expect(await balanceOf(saga)).toBe(-400);
  });
});

describe('a profile', () => {
  const profile = (saga: string, email: string, action: StepAction = 'do'): Promise<InboxAnswer> =>
    send(people, action === 'do' ? profiles.create.type : profiles.delete.type, {
      ...{ saga, step: 'profile', action },
      payload: { userId: saga, userName: 'ada', email },
    });

  it('has an address of its own, however it is written, and gives it free when it is deleted', async () => {
    const [first, second] = [freshSagaId(), freshSagaId()];
    await profile(first, 'ada@example.org');
    expect(await profile(second, 'Ada@Example.org')).toMatchObject({
      kind: 'rejected',
      reason: { code: 'email-taken' },
    });
    await profile(first, 'ada@example.org', 'undo');
    expect(await profile(freshSagaId(), 'ADA@example.org')).toMatchObject({ kind: 'applied' });
  });

  it('is welcomed by one mail, however often it is asked for', async () => {
    const saga = freshSagaId();
    const payload = { userId: saga, userName: 'ada', email: 'ada@example.org' };
    const mail = { saga, step: 'welcome', payload };
    await Promise.all(Array.from({ length: 10 }, () => send(people, profiles.sendWelcome.type, mail)));
    expect((await profilesPool.query('select 1 from profiles.mail where saga_id = $1', [saga])).rowCount).toBe(1);
  });
});

it('when all is done every effect sums to 0 and every balance is its opening and its entries', async () => {
  const unbalanced = await moneyPool.query('select 1 from accounts.entry group by effect_key having sum(amount) <> 0');
  const unexplained = await moneyPool.query(
    `select account.id from accounts.account left join accounts.entry on account_id = account.id
      group by account.id having balance <> opening + coalesce(sum(amount), 0)`,
  );
  const elsewhere = await moneyPool.query(
    `select effect_key from accounts.entry join accounts.inbox using (effect_key) where entry.txid <> inbox.txid`,
  );
  expect([unbalanced.rowCount, unexplained.rowCount, elsewhere.rowCount]).toEqual([0, 0, 0]);
});

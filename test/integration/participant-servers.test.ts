import { seedParticipants, startParticipants, type ParticipantsOptions } from '../../src/samples/participants.js';
import type { Wrap } from '../../src/saga/wrap.js';
import { useDatabase, usePool } from '../support/databases.js';
import { headersFor } from '../support/notes-server.js';
import { freshSagaId } from '../support/participant-kit.js';

const inventoryDatabase = useDatabase('inventory');
const accountsDatabase = useDatabase('accounts');
const profilesDatabase = useDatabase('profiles');
const pool = usePool(accountsDatabase);

function optionsWith(given: Partial<ParticipantsOptions> = {}): ParticipantsOptions {
  return {
    host: '127.0.0.1',
    inventoryPort: 0,
    accountsPort: 0,
    profilesPort: 0,
    inventoryDatabaseUrl: inventoryDatabase.url,
    accountsDatabaseUrl: accountsDatabase.url,
    profilesDatabaseUrl: profilesDatabase.url,
    ...given,
  };
}

async function post(url: string, type: string, { key, payload }: { key: string; payload: unknown }): Promise<unknown> {
  const response = await fetch(`${url}/messages/${type}`, {
    method: 'POST',
    headers: headersFor(key, type),
    body: JSON.stringify(payload),
  });
  return { status: response.status, body: await response.json() };
}

const payment = (amount: number): unknown => ({ orderId: 'o-1', account: 'c-1', currency: 'EUR', amount });

beforeAll(() => seedParticipants(optionsWith()));

describe('the sample participants', () => {
  it('listen each on its own address and answer from its own database', async () => {
    const participants = await startParticipants(optionsWith());
    try {
      const { inventory, accounts } = participants.urls;
      const saga = freshSagaId();
      const items = [{ sku: 'book', quantity: 2 }];
      const taken = await post(inventory, 'inventory.deduct', {
        key: `${saga}/stock/do`,
        payload: { orderId: 'o-1', items },
      });
      expect(taken).toEqual({ status: 200, body: { reservationId: `${saga}/stock/do` } });
      const paid = await post(accounts, 'accounts.debit', { key: `${saga}/payment/do`, payload: payment(250) });
      expect(paid).toEqual({ status: 200, body: { entryId: `${saga}/payment/do`, balance: 99_999_750 } });
      expect(await post(inventory, 'accounts.debit', { key: `${saga}/payment/do`, payload: {} })).toMatchObject({
        status: 404,
      });
    } finally {
      await participants.stop();
      await participants.stop();
    }
  });

  it('start all or none: a taken port leaves nobody listening', async () => {
    const first = await startParticipants(optionsWith());
    try {
      const accountsPort = Number(new URL(first.urls.accounts).port);
      await expect(startParticipants(optionsWith({ accountsPort }))).rejects.toThrow(
        `'accounts' cannot listen on 127.0.0.1:${accountsPort}`,
      );
    } finally {
      await first.stop();
    }
  });

  it('give a message whose answer was lost after the commit the stored answer when it is sent again', async () => {
    let losses = 1;
    const loseAnswers: Wrap = (name, port) => {
      if (name !== 'participant' || !('deliver' in port)) return port;
      const deliver = port.deliver as (message: unknown) => Promise<unknown>;
      const losing = async (message: unknown): Promise<unknown> => {
        const answer = await deliver(message);
        losses -= 1;
        if (losses >= 0) throw new Error('the answer is lost');
        return answer;
      };
      return { ...port, deliver: losing };
    };
    const participants = await startParticipants(optionsWith({ wrap: loseAnswers }));
    try {
      const sent = { key: `${freshSagaId()}/payment/do`, payload: payment(100) };
      expect(await post(participants.urls.accounts, 'accounts.debit', sent)).toMatchObject({ status: 500 });
      expect(await post(participants.urls.accounts, 'accounts.debit', sent)).toMatchObject({ status: 200 });
      const { rows } = await pool.query('select amount from accounts.entry where effect_key = $1 order by 1', [
        sent.key,
      ]);
      expect(rows.map(({ amount }: { amount: string }) => Number(amount))).toEqual([-100, 100]);
    } finally {
      await participants.stop();
    }
  });
});

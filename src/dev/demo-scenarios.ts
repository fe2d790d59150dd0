import type { SagaView } from '../api/schemas.js';
import { giveInSql } from '../samples/shop.js';
import type { Audit } from '../samples/audit.js';
import type { DemoClient } from './demo-client.js';

/** Something that must be so at the end. */
export interface Check {
  readonly isGood: boolean;
  readonly text: string;
}

/** Prints a title, and the sagas or lines under it. */
export type Show = (title: string, sagas: readonly SagaView[], lines?: readonly string[]) => void;

/** What a scenario has shown, and what it expects of the books. */
export interface ScenarioEnd {
  readonly checks: readonly Check[];
  /** What the merchant has taken by it, in minor units. */
  readonly takings: number;
  /** What the fund has given by it, in minor units. */
  readonly credits: number;
  readonly users: number;
  /** How many books it has sold. @default 0 */
  readonly sold?: number;
}

const INVOICE = { currency: 'EUR', amount: 5_000 } as const;
const WELCOME_CREDIT = 500;
const GIFT = 250;

/** Payments: one that completes, one from a closed account, one of an invoice that is paid already. */
export async function payInvoices(client: DemoClient, show: Show): Promise<ScenarioEnd> {
  const pay = async (invoiceId: string, accountId: string): Promise<SagaView> =>
    client.settled(await client.start('/v1/payments', { invoiceId, accountId, ...INVOICE }));
  const paid = await pay('i-1', 'c-1');
  show('A payment that completes: the money is set aside, then taken, then the invoice is marked', [paid]);
  const closed = await pay('i-2', 'c-closed');
  show('A payment from a closed account: refused, and the payment refunded', [closed]);
  const twice = await pay('i-1', 'c-2');
  show('A second payment of the first invoice: refused', [twice]);
  return {
    checks: [
      { isGood: paid.state === 'completed', text: 'the payment that could be made was' },
      { isGood: isRefused(closed, 'account-closed'), text: 'the payment from a closed account was undone' },
      { isGood: isRefused(twice, 'invoice-taken'), text: 'no invoice was paid twice' },
    ],
    takings: INVOICE.amount,
    credits: 0,
    users: 0,
  };
}

/** Registrations: one that completes, one whose name is taken, one whose address is. */
export async function registerUsers(client: DemoClient, show: Show): Promise<ScenarioEnd> {
  const register = async (userName: string, email: string): Promise<SagaView> =>
    client.settled(await client.start('/v1/registrations', { userName, email }));
  const ada = await register('ada', 'ada@example.org');
  show('A registration that completes: three things at the same time, then the mail', [ada]);
  const sameName = await register('Ada', 'ada@example.net');
  show('A registration under a name that is taken: refused before anything was sent', [sameName]);
  const sameEmail = await register('lovelace', 'ada@example.org');
  show('A registration with an address that is taken: preferences and credit are taken back', [sameEmail]);
  return {
    checks: [
      { isGood: ada.state === 'completed', text: 'the registration that could be made was' },
      { isGood: isRefused(sameName, 'user-name-taken'), text: 'a user name belongs to one user' },
      { isGood: isRefused(sameEmail, 'email-taken'), text: 'the registration without a profile was undone' },
    ],
    takings: 0,
    credits: WELCOME_CREDIT,
    users: 1,
  };
}

/**
 * The outbox: a shop that knows nothing of Settle but one SQL function gives a customer credit, in the transaction of a row of
 * its own; a transaction that is undone gives nothing.
 *
 * @param databaseUrl the producer's
 */
export async function sendFromSql(client: DemoClient, show: Show, databaseUrl: string): Promise<ScenarioEnd> {
  const credit = { userId: 'u-loyal', account: 'c-loyal', currency: 'EUR', amount: GIFT };
  const sent = await giveInSql(databaseUrl, { type: 'accounts.credit', payload: credit, isCommitted: true });
  const message = await client.delivered(sent.messageId);
  show(`An outbox message: select settle.send('accounts.credit', …) beside a row of the shop: ${message.state}`, []);
  const undone = await giveInSql(databaseUrl, { type: 'accounts.credit', payload: credit, isCommitted: false });
  const isUnknown = await client.isUnknown(undone.messageId);
  show('The same in a transaction that is undone: there is no such message', []);
  return {
    checks: [
      { isGood: message.state === 'delivered', text: 'the message sent from SQL was delivered' },
      { isGood: isUnknown, text: 'the message of the transaction that was undone never existed' },
    ],
    takings: 0,
    credits: GIFT,
    users: 0,
  };
}

/** What the participants' own books say of payments and registrations, against what the API told the client. */
export function checkScenarios(ends: readonly ScenarioEnd[], opening: Audit, closing: Audit): Check[] {
  const users = ends.reduce((sum, end) => sum + end.users, 0);
  const credits = ends.reduce((sum, end) => sum + end.credits, 0);
  const { profiles, preferences, mails } = closing.users;
  return [
    ...ends.flatMap(({ checks }) => checks),
    { isGood: closing.held === 0, text: 'money: nothing is set aside any more' },
    {
      isGood: closing.credits - opening.credits === credits,
      text: `money: ${(credits / 100).toFixed(2)} EUR of credit given, as registrations and gifts say`,
    },
    {
      isGood: [profiles, preferences, mails].every((count) => count === users),
      text: 'users: profiles, preferences and mails are as many as the users registered',
    },
  ];
}

function isRefused({ state, reason }: SagaView, code: string): boolean {
  return state === 'compensated' && reason?.code === code;
}

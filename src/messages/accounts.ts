import { z } from 'zod';
import { defineMessage } from '../saga/message-contract.js';
import { Amount, Currency, text } from './fields.js';

/** What to take from a customer's account for one order, in minor units. */
export const DebitRequest = z.strictObject({
  orderId: text(64),
  account: text(64),
  currency: Currency,
  amount: Amount,
});
export type DebitRequest = z.infer<typeof DebitRequest>;

const refund = defineMessage('accounts.refund', {
  payload: DebitRequest,
  result: z.strictObject({ refunded: z.int() }),
});
const debit = defineMessage('accounts.debit', {
  payload: DebitRequest,
  result: z.strictObject({ entryId: text(200), balance: z.int() }),
  undo: refund,
});

/** The messages of the accounts service. */
export const accounts = { debit, refund } as const;

import { z } from 'zod';
import { defineMessage } from '../saga/message-contract.js';
import { text } from './fields.js';

/** What to take from stock for one order. */
export const StockRequest = z.strictObject({
  orderId: text(64),
  items: z.array(z.strictObject({ sku: text(64), quantity: z.int().min(1) })).min(1),
});
export type StockRequest = z.infer<typeof StockRequest>;

const release = defineMessage('inventory.release', {
  payload: StockRequest,
  result: z.strictObject({ released: z.int() }),
});
const deduct = defineMessage('inventory.deduct', {
  payload: StockRequest,
  result: z.strictObject({ reservationId: text(200) }),
  undo: release,
});

/** The messages of the inventory service. */
export const inventory = { deduct, release } as const;

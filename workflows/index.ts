import './no-stacks.js';

export { placeOrder } from './orders.js';
export { placeApprovedOrder } from './approved-orders.js';
export { placeFirstOrder } from './first-orders.js';
export { payInvoice } from './payments.js';
export { registerUser } from './registrations.js';
export { halfMessage } from './half-message.js';
export { ledgerScan } from './ledger-scan.js';
export { outboxMessage } from './outbox.js';
export { repair } from './repair.js';

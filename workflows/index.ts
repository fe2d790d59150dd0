export { placeOrder } from './orders.js';
export { payInvoice } from './payments.js';
export { registerUser } from './registrations.js';
export { halfMessage } from './half-message.js';
export { repair } from './repair.js';

export { placeOrder } from './orders.js';
export { halfMessage } from './half-message.js';

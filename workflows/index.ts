export { placeOrder } from './orders.js';

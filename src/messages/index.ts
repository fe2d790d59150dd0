export { accounts } from './accounts.js';
export { inventory } from './inventory.js';
export { OrderItem, OrderRequest, PlaceOrder, totalOf } from './orders.js';

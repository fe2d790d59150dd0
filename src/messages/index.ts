export { accounts } from './accounts.js';
export { inventory } from './inventory.js';
export { OrderApproved, OrderItem, OrderRequest, PlaceFirstOrder, PlaceOrder, totalOf } from './orders.js';
export { PayInvoice, PaymentRequest } from './payments.js';
export { preferences, profiles } from './profiles.js';
export { RegisterUser, RegistrationRequest } from './registrations.js';

import { openCalls } from './calls.js';
import { placeOrder, readOrder, type Order } from './orders.js';
import { openPool, readPlace, serve } from './serve.js';

// The obvious fast program, without durability beyond its own row: it accepts with one local transaction and does the rest from memory.
// Killed, it forgets what it was about.

const { port, databaseUrl, routes } = readPlace();
const pool = openPool(databaseUrl);
const calls = openCalls(routes);
let settled: [orderId: string, state: string, atMs: number][] = [];

serve(port, {
  accept: async (request) => {
    const order = readOrder(request);
    await placeOrder(pool, order);
    void settle(order);
    return order;
  },
  settled: () => {
    const all = settled;
    settled = [];
    return all;
  },
});

async function settle(order: Order): Promise<void> {
  let state = 'completed';
  try {
    await calls.deduct(order);
    await calls.debit(order);
  } catch (error) {
    process.stderr.write(`order '${order.orderId}' came to nothing: ${String(error)}\n`);
    state = 'lost';
  }
  settled.push([order.orderId, state, performance.timeOrigin + performance.now()]);
}

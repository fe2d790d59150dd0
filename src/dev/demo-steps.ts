import type { SagaView } from '../api/schemas.js';
import type { DemoClient } from './demo-client.js';
import type { ScenarioEnd, Show } from './demo-scenarios.js';

/** Covered by the welcome credit of 5.00 EUR, and not. */
const [AFFORDABLE, TOO_DEAR] = [400, 900];
const WELCOME_CREDIT = 500;
const PRICE = 1_999;

const lines = (unitPrice: number): object => ({ currency: 'EUR', items: [{ sku: 'book', quantity: 1, unitPrice }] });

/** Orders that wait for an approval: one that is approved, and one that is cancelled while it waits. */
export async function approveOrders(client: DemoClient, show: Show): Promise<ScenarioEnd> {
  const place = async (): Promise<SagaView> => {
    const sagaId = await client.start('/v1/orders', { ...lines(PRICE), customerId: 'c-5', needsApproval: true });
    return client.waitFor(sagaId, ({ waitingFor }) => waitingFor?.kind === 'event');
  };
  const waiting = await place();
  show('An order that waits for an approval: its stock is kept', [waiting]);
  await client.send(waiting.sagaId, 'order-approved', { approvedBy: 'ann', account: 'c-6' });
  const approved = await client.settled(waiting.sagaId);
  show('The same order after POST /v1/sagas/{id}/events/order-approved: the account that the event names pays', [
    approved,
  ]);
  const { sagaId } = await place();
  await client.cancel(sagaId);
  const cancelled = await client.settled(sagaId);
  show('An order that is cancelled while it waits', [cancelled]);
  return {
    checks: [
      { isGood: approved.state === 'completed', text: 'the order that was approved was completed' },
      { isGood: cancelled.state === 'compensated', text: 'the order that was cancelled while it waited was undone' },
    ],
    ...{ takings: PRICE, credits: 0, users: 0, sold: 1 },
  };
}

/** First orders, which register their customer as a saga of its own: one that can be paid, one that takes it back. */
export async function placeFirstOrders(client: DemoClient, show: Show): Promise<ScenarioEnd> {
  const place = async (userName: string, unitPrice: number): Promise<readonly [SagaView, SagaView]> => {
    const registration = { userName, email: `${userName}@example.org` };
    const saga = await client.settled(await client.start('/v1/orders', { ...lines(unitPrice), registration }));
    return [saga, await client.settled(saga.steps[0]!.child!)];
  };
  const [order, user] = await place('joan', AFFORDABLE);
  show('A first order: its first step is a saga of its own, which registers the customer', [order, user]);
  const [refused, undone] = await place('jean', TOO_DEAR);
  show('A first order that the welcome credit does not cover: the registration is taken back', [refused, undone]);
  return {
    checks: [
      {
        isGood: order.state === 'completed' && user.state === 'completed',
        text: 'the first order registered its customer',
      },
      {
        isGood: refused.state === 'compensated' && undone.state === 'compensated',
        text: 'the first order that could not be paid took the registration back',
      },
    ],
    ...{ takings: AFFORDABLE, credits: WELCOME_CREDIT, users: 1, sold: 1 },
  };
}

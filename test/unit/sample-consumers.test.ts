import { sampleConsumers } from '../../src/samples/consumers.js';

const brokers = { rabbitmq: 'amqp://127.0.0.1:5672', kafka: '127.0.0.1:9092' };

test('each sample participant consumes from where the routes of what it handles lead, and from nowhere else', () => {
  const routes = {
    'inventory.deduct': { transport: 'rabbitmq', to: 'inventory' },
    'inventory.release': { transport: 'rabbitmq', to: 'inventory' },
    'accounts.debit': { transport: 'http', url: 'http://127.0.0.1:1/messages/accounts.debit' },
    'accounts.reserve': { transport: 'kafka', to: 'accounts', ordered: true },
    'accounts.capture': { transport: 'kafka', to: 'accounts-captured', ordered: true },
    'preferences.create': { transport: 'kafka', to: 'preferences' },
    'shop.paint': { transport: 'rabbitmq', to: 'shop' },
  } as const;
  const [rabbitmq, kafka] = [
    { name: 'rabbitmq', url: brokers.rabbitmq },
    { name: 'kafka', url: brokers.kafka },
  ];
  expect(sampleConsumers({ routes, brokers })).toEqual([
    { participant: 'inventory', transport: rabbitmq, from: ['inventory'], ordered: false },
    { participant: 'accounts', transport: kafka, from: ['accounts', 'accounts-captured'], ordered: true },
    { participant: 'profiles', transport: kafka, from: ['preferences'], ordered: false },
  ]);
});

test('over HTTP alone no sample participant consumes', () => {
  const routes = {
    'inventory.deduct': { transport: 'http', url: 'http://127.0.0.1:1/messages/inventory.deduct' },
  } as const;
  expect(sampleConsumers({ routes, brokers: {} })).toEqual([]);
});

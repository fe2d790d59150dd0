import { createRequire } from 'node:module';
import { Ajv, type ValidateFunction } from 'ajv';
import ajvFormats from 'ajv-formats';
import { definitions } from '../../workflows/definitions.js';
import { asyncApiDocument, type AsyncApiDocument } from '../../src/api/asyncapi.js';
import { encodeCloudEvent, attributesOf } from '../../src/brokers/cloud-event.js';
import { encodeReply } from '../../src/brokers/reply.js';
import { sampleRoutes } from '../../src/config-routes.js';
import { contractsOf } from '../../src/saga/contracts.js';
import { startTestApi } from '../support/api.js';
import { useDatabase } from '../support/databases.js';

const contracts = contractsOf(definitions);
const routesOver = (transport: 'http' | 'all'): ReturnType<typeof sampleRoutes> =>
  sampleRoutes({ host: '127.0.0.1', transport, inventoryPort: 1, accountsPort: 2, profilesPort: 3 });
const documentOver = (transport: 'http' | 'all'): AsyncApiDocument =>
  asyncApiDocument({ contracts, routes: routesOver(transport), replyAddress: 'settle-replies-test' });

const SAGA = 'sg_0198c5a0-7e1c-7000-8000-000000000001';

/** Checks values against a schema of the document, its references followed. */
function validatorOf(document: AsyncApiDocument, name: string): ValidateFunction {
  const ajv = new Ajv({ strict: false });
  ajvFormats.default(ajv);
  return ajv.compile({ ...document, $ref: `#/components/messages/${name}/payload` });
}

const envelope = (type: string, payload: unknown): Parameters<typeof attributesOf>[0] => ({
  ...{ messageId: 'm-1', source: '/settle/place-order', type, time: '2026-01-01T00:00:00.000Z' },
  ...{ sagaId: SAGA, tenantId: 'default', effectKey: `${SAGA}/stock/do`, revision: 0, payload },
  replyTo: { address: 'settle-replies-test', token: 'token' },
});

describe('the AsyncAPI document', () => {
  const database = useDatabase('producer');

  test.each(['http', 'all'] as const)('is valid AsyncAPI 3.0, with routes over %s', (transport) => {
    const schema = createRequire(import.meta.url)('@asyncapi/specs/schemas/3.0.0-without-$id.json') as object;
    const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: false });
    const isValid = ajv.validate(schema, documentOver(transport));
    expect({ isValid, errors: ajv.errors }).toEqual({ isValid: true, errors: null });
  });

  test('tells of every message that a saga may send and that has a route', () => {
    expect(Object.keys(documentOver('all').operations).sort()).toEqual(
      [...contracts.keys()].map((type) => `send.${type}`).sort(),
    );
  });

  test('is served beside the OpenAPI document', async () => {
    const api = await startTestApi(database.url);
    try {
      const served = (await (await fetch(`${api.url}/asyncapi.json`)).json()) as AsyncApiDocument;
      expect(served).toMatchObject({ asyncapi: '3.0.0', operations: { 'send.inventory.deduct': { action: 'send' } } });
    } finally {
      await api.stop();
    }
  });

  test('names channel and reply of each message as the routes have them', () => {
    const { channels, operations } = documentOver('all');
    expect(Object.keys(channels).sort()).toEqual([
      ...['kafka.accounts', 'kafka.replies', 'rabbitmq.accounts', 'rabbitmq.inventory', 'rabbitmq.replies'],
      ...['redis.profiles', 'redis.replies', 'rocketmq.profiles', 'rocketmq.replies'],
    ]);
    expect(channels['rabbitmq.inventory']!.address).toBe('inventory');
    expect(operations['send.accounts.capture']).toMatchObject({
      channel: { $ref: '#/channels/kafka.accounts' },
      reply: { channel: { $ref: '#/channels/kafka.replies' }, address: { location: '$message.payload#/replyto' } },
    });
  });

  test('describes what is really sent, and nothing else', () => {
    const document = documentOver('all');
    const isDeduct = validatorOf(document, 'inventory.deduct');
    const written = (payload: unknown): unknown => {
      const given = envelope('inventory.deduct', payload);
      return JSON.parse(encodeCloudEvent({ attributes: attributesOf(given), data: payload }).body.toString());
    };
    expect(isDeduct(written({ orderId: 'o-1', items: [{ sku: 'book', quantity: 1 }] }))).toBe(true);
    expect(isDeduct(written({ orderId: 'o-1', items: [] }))).toBe(false);
    expect(isDeduct({ ...(written({}) as object), effectkey: undefined })).toBe(false);
  });

  test.each([
    { kind: 'done', result: { reservationId: 'r-1' } } as const,
    { kind: 'rejected', reason: { code: 'out-of-stock', message: 'no more' } } as const,
    { kind: 'working', retryAfterMs: 500 } as const,
  ])('describes a reply that says $kind', (outcome) => {
    const reply = { id: 'r-1', source: '/inventory', effectKey: `${SAGA}/stock/do`, revision: 0, token: 't', outcome };
    const isReply = validatorOf(documentOver('all'), 'settle.reply');
    expect(isReply(JSON.parse(encodeReply(reply).body.toString()))).toBe(true);
    expect(isReply({ ...(JSON.parse(encodeReply(reply).body.toString()) as object), data: { outcome: 'maybe' } })).toBe(
      false,
    );
  });
});

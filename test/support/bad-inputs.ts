import { keyed, SOUND, type SoundRequest } from './sound-requests.js';

/** The name of a sound request. */
export type RequestName = keyof typeof SOUND;

/** All of them. */
export const REQUESTS = Object.entries(SOUND) as [RequestName, SoundRequest][];

const UUID = '0198c5a0-7e1c-7000-8000-000000000001';

/** What no request may hold, whatever it is about. */
export const BODIES: readonly [body: string, status: number, type: string][] = [
  ['{"a":', 400, 'invalid-json'],
  ['{"a":NaN}', 400, 'invalid-json'],
  ['{"a":-Infinity}', 400, 'invalid-json'],
  ['{"a":0x10}', 400, 'invalid-json'],
  ['{} {}', 400, 'invalid-json'],
  ['['.repeat(5_000) + ']'.repeat(5_000), 400, 'invalid-json'],
  ['{"payload":'.repeat(5_000) + '1' + '}'.repeat(5_000), 400, 'invalid-json'],
  ['{"__proto__":{"admin":true}}', 400, 'invalid-json'],
  ['{"payload":{"constructor":{}}}', 400, 'invalid-json'],
  [`"${'x'.repeat(65_536 - 1)}"`, 413, 'body-too-large'],
];

/** What no request may be that has a body. */
export const SHAPES = ['', 'null', '[]', '[[]]', '"text"', '7', 'true', '{"surprise":1}'];

/** Headers in which there is no Idempotency-Key, by what is wrong with them. */
export const KEYS: readonly [name: string, headers: readonly string[]][] = [
  ['none', []],
  ['empty', keyed('')],
  ['256 characters', keyed('k'.repeat(256))],
  ['a space', keyed('a b')],
  ['two', [...keyed('a'), ...keyed('b')]],
];

const TEXTS = ['1', 'null', '{}', '""', '"a\\u0000"', '"\\ud800"', '"\\udc00x"', `"${'x'.repeat(1_001)}"`, undefined];
const AMOUNTS = [
  '0',
  '-1',
  '1.5',
  '1e400',
  '9007199254740992',
  '123456789012345678901234567890',
  '"5"',
  'true',
  'null',
];
const FLAGS = ['0', '"true"', 'null', '[]'];
/** What text cannot hold, and what would come out as another number. */
const UNSTORABLE = [
  '"\\u0000"',
  '{"\\udfff":1}',
  '[1e400]',
  '{"n":-1e999}',
  '9007199254740993',
  '[[-9007199254740993]]',
];
/** Members as JSON text that are refused with a pointer to them; undefined leaves the member out. */
export const MEMBERS: readonly [request: RequestName, pointer: string, json: readonly (string | undefined)[]][] = [
  ['payment', '/invoiceId', TEXTS],
  ['payment', '/accountId', TEXTS],
  ['payment', '/currency', ['"eur"', '"EURO"', '""', '1', 'null', undefined]],
  ['payment', '/amount', [...AMOUNTS, undefined]],
  ['registration', '/userName', [...TEXTS, '"ab"', '"-ab"', '"a b"', '"\u00e4nn"', '"ann\\n"', `"${'x'.repeat(33)}"`]],
  ['registration', '/email', [...TEXTS, '"ann"', '"ann@"', '"a@b"', '"a b@shop.example"', '"a@shop.example\\n"']],
  ['registration', '/userId', ['"usr_1"']],
  ['first order', '/registration/userName', TEXTS],
  ['first order', '/registration/email', TEXTS],
  ['first order', '/registration/admin', FLAGS],
  ['first order', '/registration', ['null', '[]', '"ann"', '1']],
  ['first order', '/customerId', ['"c-1"']],
  ['first order', '/needsApproval', ['true', ...FLAGS]],
  ['order that needs approval', '/needsApproval', FLAGS],
  ['order that needs approval', '/customerId', TEXTS],
  ['message', '/type', [...TEXTS, '"a b"', '"nobody.cares"', '"__proto__"']],
  ['message', '/payload', [...UNSTORABLE, undefined]],
  [
    'message',
    '/checkBackUrl',
    [...TEXTS, '"http://x/#y"', '"javascript:1"', '"http://:9"', `"http://x/${'y'.repeat(2_000)}"`],
  ],
  ['message', '/immunityMs', [...AMOUNTS, '86400001']],
  ['message', '/checkBackBatch', [...AMOUNTS, '101']],
  ['cancel', '/reason', TEXTS.slice(0, -1)],
  ['event', '/approvedBy', TEXTS],
  ['saga action', '/actionId', [...TEXTS, '"a b"', '"\u00e4"']],
  ['saga action', '/action', ['"confirm "', '"RETRY"', '1', 'null', undefined]],
  ['saga action', '/actor', TEXTS],
  ['saga action', '/reason', TEXTS],
  ['saga action', '/step', ['"Stock"', '"stock "', '""', '1', 'null']],
  ['saga action', '/mayRepeat', FLAGS],
  ['saga action', '/payload', ['{}', ...UNSTORABLE]],
  ['message action', '/actor', TEXTS],
  ['message action', '/mayRepeat', FLAGS],
  ['message action', '/result', ['{}', ...UNSTORABLE]],
  ['repair', '/actor', TEXTS],
  ['repair', '/perSecond', [...AMOUNTS, '101']],
  ['repair', '/query', ['null', '[]', '"parked"', undefined]],
  ['repair', '/query/kind', ['"sagas"', '1', 'null']],
  ['repair', '/query/id', TEXTS.slice(0, -1)],
  ['repair', '/query/reason', TEXTS.slice(0, -1)],
  ['repair', '/query/step', ['"Stock"', '1', 'null']],
  ['repair', '/query/olderThanMs', [...AMOUNTS.slice(1), '1000000000000']],
  ['repair', '/query/limit', [...AMOUNTS, '10001']],
  ['repair', '/result', ['{}', ...UNSTORABLE]],
  ['repair confirm', '/etag', TEXTS],
  ['repair confirm', '/count', [...AMOUNTS.slice(1), undefined]],
];

/** Queries that are refused with the name of the parameter. */
export const QUERIES: readonly [path: string, queries: readonly string[]][] = [
  [
    '/v1/parked',
    [
      ...['limit=201', 'limit=', 'limit=1e1', 'limit=%2B1', 'limit=1&limit=1', 'cursor=', 'cursor=%00', '__proto__=1'],
      ...[
        'kind=saga&kind=saga',
        'kind=',
        'id=',
        'id=%00',
        'type=%00',
        `reason=${'x'.repeat(201)}`,
        'step=',
        'state=parked',
      ],
      ...['olderThanMs=', 'olderThanMs=1e3', 'olderThanMs=0x1', 'olderThanMs=1000000000000', 'olderThanMs=NaN'],
      // a repair is not parked, so no page ends with one
      `cursor=${Buffer.from(`rp_${UUID}`).toString('base64url')}`,
    ],
  ],
  [
    '/v1/repairs/{repair}',
    ['limit=201', 'limit=-1', 'status=', 'status=done&status=done', 'cursor=', 'cursor=LTE', 'cursor=MTAwMDAwMA'],
  ],
];

/** What is no id of an event of `GET /v1/events`. */
export const LAST_EVENT_IDS = [
  'x',
  '1',
  '-1.ntc_' + UUID,
  '1.ntc_',
  `1.sg_${UUID}`,
  `1234567890123456789.ntc_${UUID}`,
  `1.ntc_${UUID},`,
];

/** The change that makes another request of one that was accepted, and how that is refused. */
export const REUSED: readonly [
  request: RequestName,
  pointer: string,
  json: string | undefined,
  status: number,
  type: string,
][] = [
  ['first order', '/registration/userName', '"ben"', 422, 'idempotency-key-reused'],
  ['order that needs approval', '/needsApproval', undefined, 422, 'idempotency-key-reused'],
  ['payment', '/amount', '1251', 422, 'idempotency-key-reused'],
  ['registration', '/email', '"ben@shop.example"', 422, 'idempotency-key-reused'],
  ['message', '/payload', '{"orderId":"o-2"}', 422, 'idempotency-key-reused'],
  ['event', '/account', '"c-2"', 409, 'event-decided'],
  ['saga action', '/reason', '"another"', 422, 'action-id-reused'],
  ['message action', '/actor', '"eve"', 422, 'action-id-reused'],
  ['repair confirm', '/count', '2', 409, 'repair-not-as-previewed'],
];

/** Addresses of what belongs to a tenant, beside those of the sound requests. */
export const READS = [
  ...['/v1/orders/{orderId}', '/v1/payments/{paymentId}', '/v1/registrations/{userId}', '/v1/sagas/{open}'],
  ...['/v1/sagas/{waiting}/events', '/v1/messages/{prepared}', '/v1/repairs/{repair}'],
];
/** Ids that name nothing, of every kind and of none. */
export const WRONG_IDS = [
  ...['sg', 'msg', 'om', 'rp', 'ord', 'pay', 'usr', 'ntc'].map((prefix) => `${prefix}_${UUID}`),
  ...['x', '%00', '%20', '%ED%95%9C', '..%2f', '__proto__', '-'.repeat(40), UUID, 'x'.repeat(3_000)],
];

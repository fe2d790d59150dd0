import type { Stack } from './stack.js';

/** An order to try, and what becomes of it. */
interface Example {
  readonly title: string;
  readonly order: object;
}

const line = (sku: string): object => ({ sku, quantity: 2, unitPrice: 1999 });

const EXAMPLES: readonly Example[] = [
  {
    title: 'An order that completes',
    order: { customerId: 'c-1', currency: 'EUR', items: [line('book')] },
  },
  {
    title: 'Refused for lack of stock',
    order: { customerId: 'c-1', currency: 'EUR', items: [line('sold-out')] },
  },
  {
    title: 'Refused for lack of money, so its stock is released',
    order: { customerId: 'c-poor', currency: 'EUR', items: [line('book')] },
  },
];

/** What a newcomer reads when the stack is up: where things are, and lines to copy. */
export function guideOf({ config, urls, logFile }: Stack): string {
  const { apiKeys, temporal } = config;
  const authorization = apiKeys.size === 0 ? '' : ' -H "Authorization: Bearer $KEY"';
  const examples = EXAMPLES.map((example) => exampleOf(example, urls.api, authorization));
  return [
    `  API              ${urls.api}`,
    `  OpenAPI page     ${urls.api}/docs`,
    `  Temporal Web UI  ${temporal.uiUrl}`,
    `  Participants     ${urls.inventory} (inventory), ${urls.accounts} (accounts), ${urls.profiles} (profiles): /health/ready, /metrics`,
    ...(Object.entries(config.brokers) as [string, string | undefined][]).flatMap(([name, url]) =>
      url === undefined ? [] : [`  ${name.padEnd(15)}  ${url.replace(/\/\/.*@/, '//')}`],
    ),
    `  Data and logs    ${config.dataDir} (${logFile.slice(config.dataDir.length + 1)})`,
    ...(apiKeys.size === 0 ? [] : ['  KEY              set it to one of SETTLE_API_KEYS for the lines below']),
    '',
    ...examples,
  ].join('\n');
}

/** Each line stands by itself: the second one asks for the newest saga. */
function exampleOf({ title, order }: Example, api: string, authorization: string): string {
  return [
    `${title}; then its saga, step by step:`,
    `  curl -s ${api}/v1/orders${authorization} -H "Idempotency-Key: try-$RANDOM$RANDOM" -H 'Content-Type: application/json' \\`,
    `    -d '${JSON.stringify(order)}'; echo`,
    `  sleep 1; curl -s ${api}/v1/sagas/$(curl -s '${api}/v1/sagas?limit=1'${authorization} | grep -o 'sg_[0-9a-f-]*' | head -1)${authorization}; echo`,
    '',
  ].join('\n');
}

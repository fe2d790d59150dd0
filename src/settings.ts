/** One environment variable. */
export interface Setting {
  readonly name: string;
  /** One line, as the table in settings.md shows it. */
  readonly description: string;
  /** As the table in settings.md shows it; unset: the variable has no default. */
  readonly default?: string;
  /** Its value never appears in a message. */
  readonly secret?: true;
}

/** The levels of pino, from terse to chatty. */
export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;

/** Over what the messages of the sample sagas go; `all`: each scenario over another. */
export const SAMPLE_TRANSPORTS = ['http', 'rabbitmq', 'kafka', 'rocketmq', 'redis', 'all'] as const;

/** Every setting there is: the table in settings.md is tested against this one. */
export const SETTINGS = [
  { name: 'HOST', default: '127.0.0.1', description: 'address that the API and the sample participants listen on' },
  { name: 'PORT', default: '3000', description: 'port of the API' },
  {
    name: 'SETTLE_API_KEYS',
    secret: true,
    description:
      '`key:tenant,…`, of the tenant `default` where none is named: who may call the API; may be unset on a loopback `HOST` only',
  },
  {
    name: 'DATABASE_URL',
    secret: true,
    description: "the producer's PostgreSQL; unset: `npm start` brings up an embedded one",
  },
  {
    name: 'SETTLE_INVENTORY_DATABASE_URL',
    secret: true,
    description: "the inventory participant's PostgreSQL; unset: the embedded one",
  },
  {
    name: 'SETTLE_ACCOUNTS_DATABASE_URL',
    secret: true,
    description: "the accounts participant's PostgreSQL; unset: the embedded one",
  },
  {
    name: 'SETTLE_PROFILES_DATABASE_URL',
    secret: true,
    description: "the profiles participant's PostgreSQL; unset: the embedded one",
  },
  { name: 'SETTLE_INVENTORY_PORT', default: '`PORT` + 1', description: 'port of the inventory participant' },
  { name: 'SETTLE_ACCOUNTS_PORT', default: '`PORT` + 2', description: 'port of the accounts participant' },
  { name: 'SETTLE_PROFILES_PORT', default: '`PORT` + 6', description: 'port of the profiles participant' },
  { name: 'SETTLE_POSTGRES_PORT', default: '`PORT` + 3', description: 'port of the embedded PostgreSQL' },
  {
    name: 'TEMPORAL_ADDRESS',
    description: '`host:port` of Temporal; unset: `npm start` brings up the development server',
  },
  { name: 'TEMPORAL_NAMESPACE', default: 'default', description: 'namespace of the sagas’ workflows' },
  { name: 'TEMPORAL_API_KEY', secret: true, description: 'API key for Temporal Cloud; implies TLS' },
  { name: 'TEMPORAL_TLS', default: 'false', description: '`true`: connect to Temporal over TLS' },
  {
    name: 'TEMPORAL_TLS_CA',
    description: "PEM file with the authority that signed the server's certificate; implies TLS",
  },
  { name: 'TEMPORAL_TLS_CERT', description: 'PEM file with the client certificate; needs `TEMPORAL_TLS_KEY`' },
  { name: 'TEMPORAL_TLS_KEY', description: "PEM file with the client certificate's key" },
  {
    name: 'TEMPORAL_UI_URL',
    default: "the development server's",
    description: 'address of the Temporal Web UI, for links',
  },
  {
    name: 'SETTLE_TASK_QUEUE',
    default: 'settle',
    description: 'Temporal task queue of this installation; each in one namespace needs its own',
  },
  { name: 'SETTLE_TEMPORAL_PORT', default: '`PORT` + 4', description: 'port of the Temporal development server' },
  { name: 'SETTLE_UI_PORT', default: '`PORT` + 5', description: "port of the development server's Web UI" },
  {
    name: 'SETTLE_DATA_DIR',
    default: '`.settle`',
    description: 'folder that `npm start` keeps its data in; one stack at a time',
  },
  {
    name: 'XDG_CACHE_HOME',
    default: '`~/.cache`',
    description: 'folder that holds `settle/`, the cached Temporal CLI',
  },
  {
    name: 'SETTLE_ROUTES',
    default: 'the sample participants',
    description: 'JSON or YAML file: message type → route, the same for every process; its members are below',
  },
  {
    name: 'SETTLE_TRANSPORT',
    default: 'http',
    description:
      'over what the sample messages go without `SETTLE_ROUTES`: ' +
      SAMPLE_TRANSPORTS.map((name) => `\`${name}\``).join(', '),
  },
  {
    name: 'SETTLE_RABBITMQ_URL',
    secret: true,
    description: '`amqp://user:password@host:5672` or `amqps://…`; needed where a route goes over `rabbitmq`',
  },
  {
    name: 'SETTLE_KAFKA_BROKERS',
    description: '`host:port,…` of bootstrap brokers; needed where a route goes over `kafka`',
  },
  {
    name: 'SETTLE_ROCKETMQ_ENDPOINTS',
    description: '`host:port` of a proxy (gRPC); needed where a route goes over `rocketmq`',
  },
  {
    name: 'SETTLE_REDIS_URL',
    secret: true,
    description: '`redis://user:password@host:6379/0` or `rediss://…`; needed where a route goes over `redis`',
  },
  {
    name: 'SETTLE_LANE',
    default: 'workflow',
    description: '`express`: every saga that can runs in the express lane, not only those whose definitions say so',
  },
  {
    name: 'SETTLE_BACKLOG',
    default: '10000',
    description: 'sagas that may wait for Temporal before the API answers 503',
  },
  { name: 'SETTLE_KEY_WINDOW', default: '7d', description: 'how long an `Idempotency-Key` stands for its request' },
  { name: 'SETTLE_RETENTION', default: '30d', description: 'how long the ledger keeps what has settled' },
  {
    name: 'SETTLE_MANUAL_WINDOW',
    default: '14d',
    description: 'how long operators may retry without confirming that it may repeat an effect',
  },
  {
    name: 'SETTLE_INBOX_WINDOW',
    default: '30d',
    description: 'how long participants remember what they have applied',
  },
  {
    name: 'SETTLE_BROKER_WINDOW',
    default: '3d',
    description: 'how long a message may lie in a broker before it is consumed; counts where a route goes over one',
  },
  {
    name: 'SETTLE_WEBHOOK_URL',
    description: 'told what is parked, dead or stuck (Standard Webhooks); unset: nobody is',
  },
  {
    name: 'SETTLE_WEBHOOK_SECRET',
    secret: true,
    description: '`whsec_…,…`: signs for the webhook; two while one replaces the other',
  },
  { name: 'SETTLE_URL', default: 'http://127.0.0.1:3000', description: 'address of the API, for `npx settle`' },
  { name: 'SETTLE_API_KEY', secret: true, description: 'API key, for `npx settle`' },
  { name: 'LOG_LEVEL', default: 'info', description: LOG_LEVELS.map((level) => `\`${level}\``).join(', ') },
] as const satisfies readonly Setting[];

/** The name of a setting. */
export type SettingName = (typeof SETTINGS)[number]['name'];

/**
 * The import table of the project: who may import whom, as values. Types may come from anywhere but tests.
 * Data goes one way: api → workflow → activity → database or transport.
 */

/** Folder → what it may import: our own folders, and packages. */
const TABLE = {
  'src/saga': { ours: ['src/saga'], packages: ['zod'] },
  'src/messages': { ours: ['src/messages', 'src/saga'], packages: ['zod'] },
  workflows: {
    ours: ['workflows', 'src/saga', 'src/messages'],
    packages: ['@temporalio/workflow', '@temporalio/common'],
  },
  'src/db': { ours: ['src/db', 'src/saga'], packages: ['pg', 'node-pg-migrate', 'uuid', 'zod'] },
  // what both sides speak through: the producer's transports and the participants' consumers
  'src/brokers': {
    ours: ['src/brokers', 'src/saga'],
    packages: ['rabbitmq-client', '@platformatic/kafka', 'rocketmq-client-nodejs', '@redis/client', 'zod'],
  },
  'src/transports': { ours: ['src/transports', 'src/brokers', 'src/saga'], packages: ['undici', 'zod'] },
  'src/participant': {
    ours: ['src/participant', 'src/brokers', 'src/saga', 'src/db'],
    packages: ['@nestjs/', '@redis/client', 'pg', 'pino', 'prom-client', 'reflect-metadata', 'rxjs', 'zod'],
  },
  'src/producer': { ours: ['src/producer', 'src/saga', 'src/db'], packages: ['pg'] },
  activities: {
    ours: ['activities', 'src/saga', 'src/messages', 'src/db', 'src/transports', 'src/brokers'],
    packages: ['@temporalio/activity', '@temporalio/common', '@temporalio/client'],
  },
  'src/api': {
    ours: ['src/api', 'src/saga', 'src/messages', 'src/db'],
    packages: [
      '@nestjs/',
      '@fastify/',
      'fastify',
      '@temporalio/client',
      '@temporalio/common',
      'pino',
      'prom-client',
      'reflect-metadata',
      'rxjs',
      'uuid',
      'zod',
    ],
  },
  'src/cli': { ours: ['src/cli', 'src/config.ts'], packages: [] },
  'src/samples': {
    ours: ['src/samples', 'src/participant', 'src/brokers', 'src/messages', 'src/saga'],
    packages: ['@nestjs/', 'pg', 'pino', 'reflect-metadata', 'rxjs', 'zod'],
  },
};

const COMPOSITION = '^src/(main|roles|worker|index|dev/)';
const asFolder = (path) => (path.endsWith('.ts') ? `^${path}$` : `^${path}/`);
const asPackage = (name) => `^node_modules/${name}${name.endsWith('/') ? '' : '/'}`;

const table = Object.entries(TABLE).flatMap(([folder, { ours, packages }]) => [
  {
    name: `${folder}: our folders`,
    comment: `${folder} may import values only from ${ours.join(', ')}; import the type instead, or move the code`,
    severity: 'error',
    from: { path: asFolder(folder) },
    to: { path: '^(src|workflows|activities)/', pathNot: ours.map(asFolder), dependencyTypesNot: ['type-only'] },
  },
  {
    name: `${folder}: packages`,
    comment: `${folder} may use only ${packages.join(', ')}`,
    severity: 'error',
    from: { path: asFolder(folder) },
    to: { path: '^node_modules/', pathNot: packages.map(asPackage), dependencyTypesNot: ['type-only'] },
  },
]);

module.exports = {
  forbidden: [
    ...table,
    {
      name: 'pure code stays off the machine',
      comment: 'workflow code must be deterministic: no Node built-ins in src/saga, src/messages and workflows',
      severity: 'error',
      from: { path: '^(src/saga|src/messages|workflows)/' },
      to: { dependencyTypes: ['core'], dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'nothing imports a composition root',
      comment: 'src/main, src/worker, src/index and src/dev put the parts together; no part knows them',
      severity: 'error',
      from: { path: '^(src|workflows|activities)/', pathNot: COMPOSITION },
      to: { path: COMPOSITION, dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'a process loads what it runs',
      comment: 'import a role, or a command, when it is started: loading all of them is most of what a start takes',
      severity: 'error',
      from: { path: '^src/(main|roles|roles/producer)\\.ts$' },
      to: {
        path: '^src/(roles/(participants|producer|migrate|temporal)|worker|express|api/server|samples/|dev/)',
        dependencyTypesNot: ['type-only'],
        dynamic: false,
      },
    },
    {
      name: 'no source imports a test',
      severity: 'error',
      from: { pathNot: '^test/' },
      to: { path: '^test/' },
    },
    {
      name: 'no circles',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'everything resolves',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
    {
      name: 'no development packages in production',
      severity: 'error',
      from: { pathNot: '^test/' },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'], dependencyTypesNot: ['type-only'] },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    exclude: { path: '^dist/' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: 'specify',
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
      extensions: ['.ts', '.js', '.json'],
    },
  },
};

import { fileURLToPath } from 'node:url';
import { SWC_OPTIONS } from '../test/support/swc-options.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** One folder of tests; the folder says what must be running. */
function project(name, { servers = false } = {}) {
  return {
    displayName: name,
    rootDir: ROOT,
    testMatch: [`<rootDir>/test/${name}/**/*.test.ts`],
    modulePathIgnorePatterns: ['<rootDir>/dist/', '<rootDir>/\\.settle/'],
    extensionsToTreatAsEsm: ['.ts'],
    transform: { '\\.ts$': ['@swc/jest', SWC_OPTIONS] },
    // sources import each other by the name they have once compiled
    moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': ['$1.ts', '$1.js'] },
    testEnvironment: '<rootDir>/test/support/environment.ts',
    ...(servers && {
      globalSetup: '<rootDir>/test/support/global-setup.ts',
      globalTeardown: '<rootDir>/test/support/global-teardown.ts',
    }),
  };
}

export default {
  rootDir: ROOT,
  // the machine that runs the tests also runs their servers
  maxWorkers: 2,
  // Jest reads it here and nowhere else: a project's own is passed over
  testTimeout: 900_000,
  projects: [
    project('unit'),
    project('replay'),
    project('workflow', { servers: true }),
    project('integration', { servers: true }),
    project('e2e', { servers: true }),
    project('brokers'),
    project('faults'),
    project('transports'),
  ],
};

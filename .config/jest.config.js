import { fileURLToPath } from 'node:url';
import { SWC_OPTIONS } from '../test/support/swc-options.js';

const ROOT = fileURLToPath(new URL('..', import.meta.url));

/** One folder of tests; the folder says what must be running. */
function project(name, { servers = false, seconds = 5 } = {}) {
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
    testTimeout: seconds * 1_000,
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
  projects: [
    project('unit', { seconds: 10 }),
    project('replay', { seconds: 60 }),
    project('workflow', { servers: true, seconds: 60 }),
    project('integration', { servers: true, seconds: 30 }),
    project('e2e', { servers: true, seconds: 120 }),
    project('faults', { seconds: 300 }),
  ],
};

import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode, DefaultLogger, Runtime, type WorkflowBundleWithSourceMap } from '@temporalio/worker';

/**
 * Bundles workflow code from its TypeScript sources, so that a test never runs what an older build left.
 *
 * @param path of the module that exports the workflows, from the checkout's root. @default the product's own
 */
export async function bundleSources(path = 'workflows/index.ts'): Promise<WorkflowBundleWithSourceMap> {
  const workflowsPath = fileURLToPath(new URL(`../../${path}`, import.meta.url));
  return bundleWorkflowCode({
    workflowsPath,
    // as the build does
    preloadModules: [workflowsPath],
    logger: new DefaultLogger('ERROR'),
    // sources import each other by the name they have once compiled
    webpackConfigHook: (config) => ({
      ...config,
      resolve: { ...config.resolve, extensionAlias: { '.js': ['.ts', '.js'] } },
    }),
  });
}

/** Keeps the SDK's log to errors: attempts that fail are what the tests are about. Call it before anything else of the SDK. */
export function quietRuntime(): void {
  Runtime.install({
    logger: new DefaultLogger('ERROR'),
    telemetryOptions: { logging: { filter: 'ERROR', forward: {} } },
  });
}

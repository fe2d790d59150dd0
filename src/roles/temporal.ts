import { Client } from '@temporalio/client';
import { NativeConnection } from '@temporalio/worker';
import { connectionOptions } from '../api/temporal.js';
import type { Config } from '../config.js';
import { CONNECT_MS, reasonOf } from '../reach.js';

/**
 * Connects to Temporal, which must answer and have the namespace.
 *
 * @throws Error, one line, with the name of the setting that is wrong
 */
export async function connectTemporal({ temporal }: Config): Promise<NativeConnection> {
  let timer: NodeJS.Timeout | undefined;
  const tooLate = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('it does not answer')), CONNECT_MS);
  });
  try {
    const connecting = NativeConnection.connect(connectionOptions(temporal));
    const connection = await Promise.race([connecting, tooLate]);
    await checkNamespace(new Client({ connection }), temporal.namespace).catch(async (cause: unknown) => {
      await connection.close();
      throw cause;
    });
    return connection;
  } catch (cause) {
    throw new Error(`Temporal at ${temporal.address} (TEMPORAL_ADDRESS) cannot be reached: ${reasonOf(cause)}`, {
      cause,
    });
  } finally {
    clearTimeout(timer);
  }
}

async function checkNamespace({ workflowService }: Client, namespace: string): Promise<void> {
  await workflowService.describeNamespace({ namespace }).catch((cause: { details?: string; message: string }) => {
    throw new Error(`namespace '${namespace}' (TEMPORAL_NAMESPACE): ${cause.details ?? cause.message}`, { cause });
  });
}

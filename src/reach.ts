import { Client } from '@temporalio/client';
import { NativeConnection } from '@temporalio/worker';
import pg from 'pg';
import { connectionOptions } from './api/temporal.js';
import type { Config } from './config.js';

/** Long enough for a slow network, short enough that a wrong address is noticed. */
const CONNECT_MS = 5_000;

/**
 * Makes sure that a database answers.
 *
 * @throws Error, one line, with the name of its setting and its address, never its password
 */
export async function checkDatabase(setting: string, url: string): Promise<void> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: CONNECT_MS,
    application_name: 'settle-check',
  });
  client.on('error', () => undefined);
  try {
    await client.connect();
  } catch (cause) {
    const { hostname, port, pathname } = new URL(url);
    const where = `PostgreSQL at ${hostname}:${port === '' ? 5432 : port}${pathname}`;
    throw new Error(`${where} (${setting}) cannot be reached: ${reasonOf(cause)}`, { cause });
  } finally {
    await client.end().catch(() => undefined);
  }
}

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

/** The first line of the innermost reason: the outer ones only say that connecting failed, or nothing at all. */
export function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return reasonOf(error.errors[0]);
  if (!(error instanceof Error)) return String(error);
  const text = error.message === '' ? ((error as NodeJS.ErrnoException).code ?? error.name) : error.message;
  return text.split('\n')[0] ?? text;
}

import type { Logger as SdkLogger, LogLevel } from '@temporalio/worker';
import type { Logger } from 'pino';

const LEVELS = { TRACE: 'trace', DEBUG: 'debug', INFO: 'debug', WARN: 'warn', ERROR: 'error' } as const;

/** Writes to our log what Temporal's SDK, and through it our activities and workflows, have to say. */
export function sdkLog(logger: Logger): SdkLogger {
  const write = (level: LogLevel, message: string, meta?: object): void => {
    // an attempt that failed is an everyday matter, recorded in the ledger; it is no warning of the worker's
    const isAttempt = message === 'Activity failed';
    // only under the name `err` an error is written with its message and stack
    const { error: err, ...others } = (meta ?? {}) as { readonly error?: unknown };
    logger[isAttempt ? 'debug' : LEVELS[level]]({ ...others, ...(err !== undefined && { err }) }, message);
  };
  return {
    log: write,
    trace: (message, meta) => write('TRACE', message, meta),
    debug: (message, meta) => write('DEBUG', message, meta),
    info: (message, meta) => write('DEBUG', message, meta),
    warn: (message, meta) => write('WARN', message, meta),
    error: (message, meta) => write('ERROR', message, meta),
  };
}

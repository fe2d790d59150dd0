/** Thrown when a command is used wrongly; nothing was asked of the API. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** Thrown when the API does not answer; what it was asked may or may not have been done. */
export class UnreachableError extends Error {
  override readonly name = 'UnreachableError';
}

/** What the process ends with: 1 when the API refused, 2 when the command was used wrongly, 3 when the API does not answer. */
export function exitCodeOf(error: unknown): number {
  // of node:util's parseArgs
  const isUsage = error instanceof UsageError || (error as { code?: string }).code?.startsWith('ERR_PARSE_ARGS_');
  if (isUsage) return 2;
  return error instanceof UnreachableError ? 3 : 1;
}

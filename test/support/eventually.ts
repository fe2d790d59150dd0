/** How long and how often to look. */
export interface Patience {
  /** @default 60000 */
  readonly timeoutMs?: number;
  /** @default 20 */
  readonly everyMs?: number;
}

/**
 * Calls `check` until it no longer throws, and returns what it then returned.
 *
 * @throws Error with the last failure in its message, when the time is over
 * @example await eventually(async () => expect(await stateOf(sagaId)).toBe('completed'), { timeoutMs: 5_000 });
 */
export async function eventually<T>(check: () => T | Promise<T>, patience: Patience = {}): Promise<T> {
  const { timeoutMs = 60_000, everyMs = 20 } = patience;
  const end = Date.now() + timeoutMs;
  for (;;) {
    try {
      return await check();
    } catch (cause) {
      if (Date.now() > end) {
        throw new Error(
          `still not so after ${timeoutMs} ms: ${cause instanceof Error ? cause.message : String(cause)}`,
          {
            cause,
          },
        );
      }
    }
    await new Promise((resolve) => setTimeout(resolve, everyMs));
  }
}

/** A key ends once in its window, and a week's partition is made once: a second round finds what others have done meanwhile. */
const ROUNDS = 3;

/** `check_violation` without the name of a constraint: the row was on its way to the default partition when its week was attached. */
const CHECK_VIOLATION = '23514';

/**
 * Stores something under a key, or finds what the key stands for already. Between the two statements the key's window may end;
 * then it is free again, for whoever is first.
 *
 * @param insert undefined: the key is taken
 * @param find undefined: it is not
 */
export async function storeOnce<Stored>(
  insert: () => Promise<Stored | undefined>,
  find: () => Promise<Stored | undefined>,
): Promise<Stored> {
  for (let round = 0; round < ROUNDS; round += 1) {
    const stored = (await insert().catch(skipIfMoved)) ?? (await find());
    if (stored) return stored;
  }
  throw new Error('an idempotency key stands for something that the ledger does not hold');
}

function skipIfMoved(error: unknown): undefined {
  const { code, constraint } = error as { code?: string; constraint?: string };
  if (code !== CHECK_VIOLATION || constraint !== undefined) throw error;
}

/** A key ends once in its window: a second round finds what others have stored under it meanwhile. */
const ROUNDS = 3;

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
    const stored = (await insert()) ?? (await find());
    if (stored) return stored;
  }
  throw new Error('an idempotency key stands for something that the ledger does not hold');
}

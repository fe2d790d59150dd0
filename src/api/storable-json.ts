import { z } from 'zod';

/** Any JSON that the ledger holds as it was sent: `1e400` would come out as null, 2^53 + 1 as 2^53. */
export const Json = z
  .unknown()
  .refine(isStorable, 'must not contain NUL, lone surrogates or numbers beyond 2^53; send such a number as text');

/** The members' names count too. */
function isStorable(value: unknown): boolean {
  if (typeof value === 'string') return /^[^\0\p{Surrogate}]*$/u.test(value);
  // beyond 2^53 every number is whole, infinity aside
  if (typeof value === 'number') return Math.abs(value) <= Number.MAX_SAFE_INTEGER;
  if (typeof value !== 'object' || value === null) return true;
  return Object.entries(value).every(([name, member]) => isStorable(name) && isStorable(member));
}

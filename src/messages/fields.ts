import { z } from 'zod';

const WELL_FORMED = /^(?:[^\0\p{Surrogate}])*$/u;

/** Text that PostgreSQL and JSON can both hold: no NUL, no lone surrogate. */
export function text(maxLength: number): z.ZodString {
  return z.string().min(1).max(maxLength).regex(WELL_FORMED, 'must not contain NUL or lone surrogates');
}

/** A whole number of minor units (cents), above 0 and exactly representable. */
export const Amount = z.int().min(1);

/** A three-letter ISO 4217 code. */
export const Currency = z.string().regex(/^[A-Z]{3}$/, 'must be an ISO 4217 code such as EUR');

/** SQLSTATE classes and codes (PostgreSQL, appendix A) that say "not now" rather than "not like this". */
const UNAVAILABLE_CLASSES: readonly string[] = ['08', '53', '57', '58'];
const UNAVAILABLE_CODES: ReadonlySet<string> = new Set(['25006', '25P03', '40001', '40P01', '55P03']);
const NETWORK_CODES: ReadonlySet<string> = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'EPIPE',
  'ETIMEDOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ENOENT',
]);

/** What `pg` says without a code. */
const MESSAGES =
  /^(Connection terminated|timeout expired|timeout exceeded when trying to connect|Cannot use a pool after calling end|Query read timeout|Client has encountered a connection error)/;

/**
 * Whether a failed query means that the database cannot be used now, and another attempt may succeed.
 * Whether the failed one had an effect is unknown.
 */
export function isDatabaseUnavailable(error: unknown): boolean {
  // told by shape: an error of another realm (Node's own sockets, under Jest) is no instance of this one's Error
  if (typeof error !== 'object' || error === null) return false;
  if ('errors' in error && Array.isArray(error.errors)) return error.errors.some(isDatabaseUnavailable);
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  if (NETWORK_CODES.has(code) || UNAVAILABLE_CODES.has(code)) return true;
  if (/^[0-9A-Z]{5}$/.test(code)) return UNAVAILABLE_CLASSES.includes(code.slice(0, 2));
  return 'message' in error && MESSAGES.test(String(error.message));
}

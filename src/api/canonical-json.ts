import { createHash } from 'node:crypto';

/**
 * JSON in one form only: members sorted, no spaces, so that equal values have equal text.
 *
 * @param value plain JSON, of limited depth
 * @example canonicalJson({ b: 1, a: [true] }) // '{"a":[true],"b":1}'
 */
export function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_name, member: unknown) => (isRecord(member) ? sorted(member) : member));
}

/** SHA-256 of a value's canonical JSON, in hex. */
export function hashOf(value: unknown): string {
  return createHash('sha256').update(canonicalJson(value)).digest('hex');
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function sorted(record: Record<string, unknown>): Record<string, unknown> {
  const names = Object.keys(record).sort((a, b) => (a < b ? -1 : 1));
  // entries, not assignment: a member named __proto__ must stay a member
  return Object.fromEntries(names.map((name) => [name, record[name]]));
}

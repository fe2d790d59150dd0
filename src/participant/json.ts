import { createHash } from 'node:crypto';

/** Thrown when a body is not JSON that can be hashed, stored and handed on: bad input, never a fault of the server. */
export class BadJsonError extends Error {
  override readonly name = 'BadJsonError';
}

/** Deeper JSON parses but overflows the stack in `JSON.stringify` and in schemas. */
export const MAX_DEPTH = 64;

const UNSTORABLE = /[\0\p{Surrogate}]/u;

/**
 * Reads a JSON body that came from outside: valid UTF-8, at most 64 levels deep,
 * and free of what PostgreSQL or JavaScript would stumble over (NUL, lone surrogates, a member called `__proto__`).
 *
 * @param maxDepth of nesting. @default 64
 * @throws BadJsonError that names the first problem
 */
export function parseJson(body: Uint8Array, maxDepth = MAX_DEPTH): unknown {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(body));
  } catch (cause) {
    throw new BadJsonError('the body is not valid JSON in UTF-8', { cause });
  }
  checkTree(value, maxDepth);
  return value;
}

/**
 * The SHA-256 of a message's type and payload, the same for every order of members and every layout of white space.
 *
 * @param payload plain JSON, at most some hundred levels deep
 */
export function requestHash(type: string, payload: unknown): string {
  return createHash('sha256')
    .update(canonicalJson([type, payload]))
    .digest('hex');
}

/** JSON with sorted members and no white space. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value) ?? 'null';
  const members = Object.entries(value)
    .filter(([, member]) => member !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, member]) => `${JSON.stringify(name)}:${canonicalJson(member)}`);
  return `{${members.join(',')}}`;
}

/** Walks with a list of its own, because recursion is what deep input attacks. */
function checkTree(root: unknown, maxDepth: number): void {
  const open: { value: unknown; depth: number }[] = [{ value: root, depth: 0 }];
  for (let item = open.pop(); item !== undefined; item = open.pop()) {
    const { value, depth } = item;
    if (typeof value === 'string') checkText(value);
    if (typeof value !== 'object' || value === null) continue;
    if (depth === maxDepth) throw new BadJsonError(`the body is nested more than ${maxDepth} levels deep`);
    for (const [name, member] of Object.entries(value)) {
      checkText(name);
      if (name === '__proto__') throw new BadJsonError("the body has a member called '__proto__'");
      open.push({ value: member, depth: depth + 1 });
    }
  }
}

function checkText(text: string): void {
  if (UNSTORABLE.test(text)) throw new BadJsonError('the body contains NUL or a lone surrogate');
}

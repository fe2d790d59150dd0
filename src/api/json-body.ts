import { ProblemError } from './problems.js';

/** Bodies above this are refused before they are read to the end. */
export const MAX_BODY_BYTES = 64 * 1_024;

/** Deeper JSON parses, but overflows the stack of whatever walks it later. */
export const MAX_JSON_DEPTH = 32;

const POISONOUS: ReadonlySet<string> = new Set(['__proto__', 'constructor']);

/**
 * Parses a request body.
 *
 * @returns undefined for an empty body
 * @throws ProblemError `invalid-json` when it is not UTF-8 JSON, too deep, or has a member that could reach a prototype
 */
export function parseJsonBody(bytes: Uint8Array): unknown {
  if (bytes.byteLength === 0) return undefined;
  const value = parse(bytes);
  checkMembers(value);
  return value;
}

function parse(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes)) as unknown;
  } catch {
    // the parser's own words quote the body
    throw new ProblemError('invalid-json', 'the body is not JSON in UTF-8');
  }
}

/** Walks level by level instead of recursively: the depth is the client's choice. */
function checkMembers(root: unknown): void {
  let level: readonly unknown[] = [root];
  for (let depth = 0; level.length > 0; depth++) {
    const containers = level.filter((value) => typeof value === 'object' && value !== null);
    if (containers.length > 0 && depth >= MAX_JSON_DEPTH) {
      throw new ProblemError('invalid-json', `the body is nested deeper than ${MAX_JSON_DEPTH} levels`);
    }
    level = containers.flatMap((container) => {
      const poison = Array.isArray(container) ? undefined : Object.keys(container).find((name) => POISONOUS.has(name));
      if (poison !== undefined) throw new ProblemError('invalid-json', `the body has a member named '${poison}'`);
      return Object.values(container as object) as unknown[];
    });
  }
}

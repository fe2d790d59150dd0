import { createHash } from 'node:crypto';

/** A Lua script, which Redis runs as one step. */
export interface RedisScript {
  readonly text: string;
  readonly sha: string;
}

/** What a script is called with. */
export interface ScriptCall {
  readonly keys: readonly string[];
  readonly args: readonly string[];
}

/**
 * Names a script by its hash. It runs while Redis is out of memory too: what frees memory must not wait for memory.
 *
 * @param body Lua, for Redis 7 or later
 */
export function redisScript(body: string): RedisScript {
  const text = `#!lua flags=allow-oom\n${body}`;
  return { text, sha: createHash('sha1').update(text).digest('hex') };
}

/**
 * Runs a script by its hash, and by its text where Redis does not know it (any more).
 *
 * @param send sends one command
 */
export async function runScript(
  send: (args: readonly string[]) => Promise<unknown>,
  { text, sha }: RedisScript,
  { keys, args }: ScriptCall,
): Promise<unknown> {
  const rest = [String(keys.length), ...keys, ...args];
  try {
    return await send(['EVALSHA', sha, ...rest]);
  } catch (cause) {
    if (!(cause as Error).message?.startsWith('NOSCRIPT')) throw cause;
    return send(['EVAL', text, ...rest]);
  }
}

import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type { z } from 'zod';
import { SETTINGS } from './settings.js';
import type { Setting, SettingName } from './settings.js';

/** Thrown by `loadConfig`: one line that names each variable, its value unless it is a secret, and the remedy. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  constructor(readonly problems: readonly string[]) {
    super(problems.join('; '));
  }
}

/** Reads variables one after the other and keeps every problem, so that one start shows all of them. */
export class Reader {
  readonly problems: string[] = [];
  constructor(private readonly env: NodeJS.ProcessEnv) {}

  /** The value, or undefined where it is unset, empty or wrong. */
  read<T>(name: SettingName, schema: z.ZodType<T, string>): T | undefined {
    const text = this.env[name];
    if (text === undefined || text === '') return undefined;
    const parsed = schema.safeParse(text);
    if (parsed.success) return parsed.data;
    this.refuse(name, parsed.error.issues[0]?.message ?? 'is wrong');
    return undefined;
  }

  /** The value of a file that a variable names. */
  readFile<T>(name: SettingName, parse: (content: Buffer) => T): T | undefined {
    const file = this.env[name];
    if (file === undefined || file === '') return undefined;
    try {
      return parse(readFileSync(resolve(file)));
    } catch (cause) {
      const { code, message } = cause as NodeJS.ErrnoException;
      this.refuse(name, code === undefined ? firstLine(message) : `must name a readable file (${code})`);
      return undefined;
    }
  }

  /** Whether it is set, right or wrong. */
  has(name: SettingName): boolean {
    return (this.env[name] ?? '') !== '';
  }

  /** Notes what is wrong with a value, or with its absence. */
  refuse(name: SettingName, remedy: string): void {
    const setting: Setting | undefined = SETTINGS.find((each) => each.name === name);
    const text = this.env[name];
    const shown = text === undefined ? 'unset' : setting?.secret ? '(hidden)' : `'${text.slice(0, 100)}'`;
    this.problems.push(`${name} is ${shown}: ${remedy}`);
  }
}

function firstLine(text: string): string {
  return text.split('\n')[0] ?? text;
}

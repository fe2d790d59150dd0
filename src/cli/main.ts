#!/usr/bin/env node
import { createInterface } from 'node:readline/promises';
import { ConfigError, loadClientSettings } from '../config.js';
import { runCommand } from './commands.js';
import { exitCodeOf } from './errors.js';

// `npx settle …`: what operators do, over the HTTP API.

// a closed terminal, e.g. of `settle list | head`, is no failure
process.stdout.on('error', () => undefined);

try {
  const { hasColours, ...settings } = loadClientSettings();
  await runCommand(process.argv.slice(2), {
    settings,
    print: (text) => void (text !== '' && process.stdout.write(`${text}\n`)),
    hasColours: hasColours && process.stdout.isTTY,
    ask: process.stdin.isTTY && process.stdout.isTTY ? ask : undefined,
  });
} catch (error) {
  const text = error instanceof Error ? error.message : String(error);
  process.stderr.write(`settle: ${text.split('\n')[0] ?? text}\n`);
  process.exitCode = error instanceof ConfigError ? 2 : exitCodeOf(error);
}

async function ask(question: string): Promise<string> {
  const terminal = createInterface({ input: process.stdin, output: process.stdout });
  try {
    return await terminal.question(question);
  } finally {
    terminal.close();
  }
}

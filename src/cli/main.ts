#!/usr/bin/env node
import { loadClientSettings } from '../config.js';
import { runCommand } from './commands.js';

// `npx settle …`: what operators do, over the HTTP API.

// a closed terminal, e.g. of `settle list | head`, is no failure
process.stdout.on('error', () => undefined);

try {
  await runCommand(process.argv.slice(2), {
    settings: loadClientSettings(),
    print: (text) => void process.stdout.write(`${text}\n`),
    hasColours: process.stdout.isTTY,
  });
} catch (error) {
  const text = error instanceof Error ? error.message : String(error);
  process.stderr.write(`settle: ${text.split('\n')[0] ?? text}\n`);
  process.exitCode = 1;
}

// Lets plain Node run this project's TypeScript sources: `node --import ./test/support/typescript.js file.ts`.
// Nothing is built first, so what a test runs is never older than what it reads.
import { register } from 'node:module';

register(new URL('./typescript-hooks.js', import.meta.url));

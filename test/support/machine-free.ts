import { realpathSync } from 'node:fs';
import { dirname } from 'node:path';

/** A history names the folder and the host that it was recorded on; neither matters to a replay, and both are nobody's business. */
export function withoutMachine(json: string): string {
  // the dependencies may be linked from elsewhere
  const elsewhere = dirname(realpathSync('node_modules'));
  return json
    .replaceAll(elsewhere, '.')
    .replaceAll(process.cwd(), '.')
    .replace(/\d+@[\w.-]+/g, 'recorder');
}

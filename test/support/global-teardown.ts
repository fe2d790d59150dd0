import { once } from 'node:events';

/** Stops what `global-setup.ts` started. */
export default async function stopServers(): Promise<void> {
  const child = globalThis.settleTestServers;
  if (!child || child.exitCode !== null) return;
  child.stdin!.end();
  await once(child, 'exit');
}

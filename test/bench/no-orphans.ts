/**
 * Has servers end with this process, however it ends short of SIGKILL: they are started so that a terminal's Ctrl-C does not reach them.
 *
 * @returns takes each server's process id
 */
export function endWithThisProcess(): (pid: number) => void {
  const pids = new Set<number>();
  process.on('exit', () => {
    for (const pid of pids) end(pid);
  });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));
  return (pid) => void pids.add(pid);
}

/** PostgreSQL lets go of its shared memory at this signal; the others, whose data nobody wants any more, end by it as well. */
function end(pid: number): void {
  try {
    process.kill(pid, 'SIGQUIT');
  } catch {
    // it has ended as it should
  }
}

/**
 * Has servers end with this process, however it ends short of SIGKILL: they are started so that a terminal's Ctrl-C does not reach them.
 *
 * @param onSignal what SIGINT and SIGTERM do. @default they end this process at once
 * @returns takes each server's process id
 */
export function endWithThisProcess(onSignal = (): void => process.exit(1)): (pid: number) => void {
  const pids = new Set<number>();
  process.on('exit', () => {
    for (const pid of pids) end(pid);
  });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, onSignal);
  return (pid) => void pids.add(pid);
}

function end(pid: number): void {
  try {
    // nobody is connected any more, so that PostgreSQL ends by it as well; SIGQUIT would only have Java print its threads
    process.kill(pid, 'SIGTERM');
  } catch {
    // it has ended as it should
  }
}

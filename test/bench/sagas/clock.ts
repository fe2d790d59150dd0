/** The machine's clock, in ms since the epoch, with fractions: what PostgreSQL and every process here read, too. */
export function nowMs(): number {
  return performance.timeOrigin + performance.now();
}

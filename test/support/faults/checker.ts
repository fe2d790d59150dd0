import type { Evidence, Expectations, Violation } from './evidence.js';
import { checkClient } from './invariants-client.js';
import { checkEffects } from './invariants-effects.js';
import { checkLedger } from './invariants-ledger.js';

export type { Evidence, Expectations, Violation } from './evidence.js';

/**
 * Holds the evidence of a run against I1–I13, I16, I17, I19, I22, I24, I29, I33 and I34; I25 is the whole of it on a run that
 * lost Temporal. Pure: what it says depends on the evidence alone.
 *
 * @returns every violation, most of them with the rows that show it; empty when all is well
 */
export function check(evidence: Evidence, expected: Expectations = {}): readonly Violation[] {
  return [...checkClient(evidence), ...checkEffects(evidence), ...checkLedger(evidence, expected)];
}

const SHOWN = 12;

/** For a person: the violations by number, the first few with their rows. */
export function describeViolations(violations: readonly Violation[]): string {
  const counts = new Map<string, number>();
  for (const { invariant } of violations) counts.set(invariant, (counts.get(invariant) ?? 0) + 1);
  const summary = [...counts].map(([invariant, count]) => `${invariant} × ${count}`).join(', ');
  const details = violations
    .slice(0, SHOWN)
    .map(({ invariant, problem, ids, rows }) =>
      [`${invariant}: ${problem} [${ids.join(', ')}]`, ...rows.map((row) => `    ${JSON.stringify(row)}`)].join('\n'),
    );
  return [`${violations.length} violations: ${summary}`, ...details].join('\n');
}

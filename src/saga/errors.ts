import type { SagaOutcome } from './state.js';

/** Why something was refused or given up: a stable code for programs and a sentence for people. */
export interface Reason {
  /** Stable, kebab-case, e.g. `out-of-stock`. */
  readonly code: string;
  readonly message: string;
  /** The step it happened at, where there is one. */
  readonly step?: string;
}

/** Thrown when an attempt failed and another may succeed; the default: every error that is none of the three counts as this one. */
export class RetryableError extends Error {
  override readonly name = 'RetryableError';
  constructor(
    message: string,
    /** How long to wait before the next attempt, in ms; the step's retry policy decides when absent. */
    readonly retryAfterMs?: number,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** Thrown when the effect was definitely not applied and never will be: before the pivot the saga compensates. */
export class RejectedError extends Error {
  override readonly name = 'RejectedError';
  constructor(
    readonly code: string,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** Thrown when no retry can help and nothing may be undone automatically: the saga parks and waits for an operator. */
export class ParkedError extends Error {
  override readonly name = 'ParkedError';
  constructor(
    readonly code: string,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** Thrown when an effect is attempted that its saga has decided against: the ledger's fence. */
export class FencedError extends Error {
  override readonly name = 'FencedError';
  constructor(
    readonly effectKey: string,
    readonly reason: Reason,
    /** Set when it has settled: then its workflow has nothing left to do. */
    readonly settledAs?: SagaOutcome,
  ) {
    super(`'${effectKey}' is refused: its saga no longer goes forward (${reason.code}: ${reason.message})`);
  }
}

/** Thrown by `defineSaga` when a definition cannot be kept: it names the saga, the step and the remedy. */
export class SagaDefinitionError extends Error {
  override readonly name = 'SagaDefinitionError';
  constructor(
    readonly saga: string,
    readonly step: string | undefined,
    problem: string,
  ) {
    super(step === undefined ? `saga '${saga}': ${problem}` : `saga '${saga}', step '${step}': ${problem}`);
  }
}

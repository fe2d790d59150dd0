import type { Answer } from '../src/saga/outcome.js';

/** An answer that is to be recorded. */
export interface Obtained {
  readonly answer: Answer;
  /** Says whether it has been: what it came by is acknowledged then, or comes again. */
  readonly onRecorded: (isRecorded: boolean) => void;
}

/** How a message's attempt has ended, once that is recorded: what its activity returns, or fails with. */
export type Ended =
  { readonly isDone: true; readonly result: unknown } | { readonly isDone: false; readonly failure: Error };

/** An answer that came with the call itself, or that is in the ledger already: nobody waits for its record. */
export function obtained(answer: Answer): Obtained {
  return { answer, onRecorded: () => undefined };
}

/** Records an answer and tells what it came by. */
export async function settle<T>({ answer, onRecorded }: Obtained, record: (answer: Answer) => Promise<T>): Promise<T> {
  let isRecorded = false;
  try {
    const recorded = await record(answer);
    isRecorded = true;
    return recorded;
  } finally {
    onRecorded(isRecorded);
  }
}

/** Ends an activity as its attempt has ended. */
export function finish(ended: Ended): unknown {
  if (ended.isDone) return ended.result;
  throw ended.failure;
}

import { createTurns } from './turns.js';

/** Different messages in a row that brought no answer: fewer may be the messages' own fault, and make no flood. */
const MOST_UNANSWERED = 5;
/** While it is open one message in this time is let through, to find out. */
const PROBE_MS = 1_000;

/** Whether messages go to one participant, by how the last ones were answered. */
export interface Circuit {
  readonly isOpen: boolean;
  /** What the last one that was not answered brought. */
  readonly detail: string;
  /** Asks for leave to send, which need not be used: undefined, or in how many ms to ask again. */
  admit(): number | undefined;
  /** How many it would give leave to now: no limit, one, or none. */
  room(): number;
  /** Told how each message that was sent has ended. */
  note(sent: SentThere): void;
  /** When something that waits for this participant is to ask again, in ms. */
  nextTurnMs(): number;
}

/** A message that was sent, and what it brought: a refusal is an answer, and so is a request for time. */
export interface SentThere {
  readonly messageId: string;
  /** Undefined: it was answered. */
  readonly unanswered?: string;
}

/**
 * A circuit of one participant.
 * ```
 * closed ──5 messages in a row unanswered──▶ open: one a second is sent ──one is answered──▶ closed
 * ```
 * What it holds back has not begun: nothing is sent, nothing is counted as an attempt, nothing is there to undo, and its turn to
 * ask again comes no later for having been held before. Only the time goes on: a step's retry budget is the time that its author
 * gave it, whatever fills it.
 *
 * A leave that is not used keeps nobody: the next one is given a second later.
 *
 * @param now ms on a clock that only goes forward
 */
export function createCircuit(now: () => number = () => performance.now()): Circuit {
  const unanswered = new Set<string>();
  const turns = createTurns(now);
  let isOpen = false;
  let probeAt = 0;
  let detail = '';
  return {
    get isOpen() {
      return isOpen;
    },
    get detail() {
      return detail;
    },
    admit: () => {
      if (!isOpen) return undefined;
      if (now() < probeAt) return turns.next();
      probeAt = now() + PROBE_MS;
      return undefined;
    },
    room: () => {
      if (!isOpen) return Infinity;
      return now() < probeAt ? 0 : 1;
    },
    note: (sent) => {
      if (sent.unanswered === undefined) {
        isOpen = false;
        unanswered.clear();
        turns.clear();
        return;
      }
      detail = sent.unanswered;
      if (isOpen) return;
      unanswered.add(sent.messageId);
      if (unanswered.size < MOST_UNANSWERED) return;
      isOpen = true;
      probeAt = now() + PROBE_MS;
    },
    nextTurnMs: () => turns.next(),
  };
}

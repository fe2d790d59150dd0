import { createCircuit, type Circuit, type SentThere } from './circuit.js';

/** A participant as one process sees it. */
export interface CircuitState {
  /** Where it is: an origin, or a broker and a destination. */
  readonly participant: string;
  readonly isOpen: boolean;
  /** How often something was held back. */
  readonly held: number;
}

/** The circuits of one process, by participant: shared by all that send from it, so that it probes each once a second. */
export interface Circuits {
  of(participant: string): Circuit;
  note(participant: string, sent: SentThere): void;
  /** Something was held back. */
  countHeld(participant: string): void;
  list(): readonly CircuitState[];
}

/** Told when a participant no longer answers, and when it does again. */
export interface CircuitLog {
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
}

/** Makes the circuits of one process. */
export function createCircuits(log: CircuitLog = { info: () => undefined, warn: () => undefined }): Circuits {
  const known = new Map<string, { readonly circuit: Circuit; held: number }>();
  const entryOf = (participant: string): { readonly circuit: Circuit; held: number } => {
    const entry = known.get(participant) ?? { circuit: createCircuit(), held: 0 };
    known.set(participant, entry);
    return entry;
  };
  return {
    of: (participant) => entryOf(participant).circuit,
    note: (participant, sent) => {
      const { circuit } = entryOf(participant);
      const wasOpen = circuit.isOpen;
      circuit.note(sent);
      if (circuit.isOpen === wasOpen) return;
      const { detail } = circuit;
      if (wasOpen) log.info({ participant }, 'a participant answers again; its messages go to it');
      else
        log.warn({ participant, detail }, 'a participant does not answer; it gets one message a second until it does');
    },
    countHeld: (participant) => {
      entryOf(participant).held += 1;
    },
    list: () => [...known].map(([participant, { circuit, held }]) => ({ participant, isOpen: circuit.isOpen, held })),
  };
}

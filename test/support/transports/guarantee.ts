import type { NoteReaders } from './notes.js';
import type { Scene, Stand } from './stand.js';

/** Where a guarantee is looked at. */
export interface Site {
  readonly stand: Stand;
  readonly scene: Scene;
  /** Who reads notes. */
  readonly notes?: NoteReaders;
}

/** What every transport promises alike. */
export interface Guarantee {
  /** The promise, in a sentence. */
  readonly says: string;
  /** Holds a transport to it; what it throws says where it does not keep it. */
  readonly check: (site: Site) => Promise<void>;
  /** Whether it is about brokers alone. @default false */
  readonly overBrokersOnly?: boolean;
  /** Where it cannot be brought about: a single Kafka asks for no more replicas than it has, and dies of a full disk. @default false */
  readonly notOverKafka?: boolean;
}

/** Those of them that a transport has to keep. */
export function guaranteesOf(all: readonly Guarantee[], { name }: Pick<Stand, 'name'>): readonly Guarantee[] {
  return all.filter(
    ({ overBrokersOnly = false, notOverKafka = false }) =>
      (name !== 'http' || !overBrokersOnly) && (name !== 'kafka' || !notOverKafka),
  );
}

/** How long a saga in trouble may take. */
export const PATIENCE = { timeoutMs: 180_000, everyMs: 100 };

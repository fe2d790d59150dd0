import { Counter, Histogram, Registry } from 'prom-client';
import type { InboxAnswer } from './inbox.js';
import type { Message } from './message.js';

/** What one participant counts; each has a registry of its own, so that several can live in one process. */
export interface ParticipantMetrics {
  readonly registry: Registry;
  /** Counts an answer by message type and outcome; see {@link outcomeOf}. */
  count(message: Message, answer: InboxAnswer): void;
  /** Starts the clock of one delivery; the function returned stops it. */
  startTimer(type: string): () => void;
}

/**
 * - `settle_inbox_messages_total{consumer,type,outcome}`
 * - `settle_inbox_duration_seconds{consumer,type}`: from the read request to the committed answer
 */
export function createParticipantMetrics(consumer: string): ParticipantMetrics {
  const registry = new Registry();
  registry.setDefaultLabels({ consumer });
  const messages = new Counter({
    name: 'settle_inbox_messages_total',
    help: 'Messages answered by the inbox, by outcome; a duplicate that was not run again counts as repeated',
    labelNames: ['type', 'outcome'],
    registers: [registry],
  });
  const duration = new Histogram({
    name: 'settle_inbox_duration_seconds',
    help: 'Time from the read request to the committed answer',
    labelNames: ['type'],
    buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
    registers: [registry],
  });
  return {
    registry,
    count: ({ type }, answer) => messages.inc({ type, outcome: outcomeOf(answer) }),
    startTimer: (type) => {
      const stop = duration.startTimer({ type });
      return () => void stop();
    },
  };
}

/**
 * The word under which an answer is counted.
 *
 * | word | meaning |
 * |---|---|
 * | applied, rejected | the work ran now |
 * | repeated | a duplicate: the stored answer was given, nothing ran |
 * | nothing-to-undo | an `undo` without an applied `do`: it left a tombstone |
 * | tombstone | a late `do`, refused |
 * | effect-key-reused | an effect key under which another request is stored, refused |
 * | beyond-window | too old to tell whether it is a duplicate, refused |
 */
export function outcomeOf(answer: InboxAnswer): string {
  if (answer.via === 'record') return 'repeated';
  return answer.via === 'work' ? answer.kind : answer.via;
}

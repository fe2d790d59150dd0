import type { Broker, BrokerHalves, BrokerMessage, HalfDecision } from '../brokers/broker.js';
import type { Envelope } from '../saga/envelope.js';

/** Whether a message that lies with a broker as a half message is still to be delivered: a pure read of the ledger. */
export type DecideSending = (sent: { readonly effectKey: string; readonly revision: number }) => Promise<HalfDecision>;

export interface HalfSenderOptions {
  readonly decide: DecideSending;
  readonly onTrouble: (error: Error) => void;
}

/** Sends by way of a broker's half messages: one session a destination. */
export type HalfSender = (
  broker: Broker,
  sending: {
    readonly envelope: Envelope;
    readonly message: BrokerMessage;
    readonly to: string;
    readonly timeoutMs: number;
  },
) => Promise<HalfDecision>;

/** Makes it; the sessions end with their broker. */
export function createHalfSender({ decide, onTrouble }: HalfSenderOptions): HalfSender {
  const sessions = new Map<string, BrokerHalves>();
  const decideById = async (id: string): Promise<HalfDecision> => {
    const sent = sentOf(id);
    // whoever sent it, it was not us
    return sent ? decide(sent) : 'unknown';
  };
  return async (broker, { envelope, message, to, timeoutMs }) => {
    if (!broker.openHalfMessages) throw new Error(`${broker.name} has no transactional messages`);
    const session = sessions.get(to) ?? broker.openHalfMessages({ to, decide: decideById, onTrouble });
    sessions.set(to, session);
    return session.publish({ ...message, id: idOf(envelope) }, { timeoutMs });
  };
}

/** What the broker asks after a message by: which effect it is and in which revision, as that is what the ledger knows. */
function idOf({ effectKey, revision }: Envelope): string {
  return `${effectKey}/${revision}`;
}

function sentOf(id: string): { effectKey: string; revision: number } | undefined {
  const [, effectKey, revision] = /^(.+)\/(\d{1,9})$/.exec(id) ?? [];
  return effectKey === undefined ? undefined : { effectKey, revision: Number(revision) };
}

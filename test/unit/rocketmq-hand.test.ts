import type { Message } from 'rocketmq-client-nodejs/proto/apache/rocketmq/v2/definition_pb.js';
import service from 'rocketmq-client-nodejs/proto/apache/rocketmq/v2/service_pb.js';
import type { RocketMqClient } from '../../src/brokers/rocketmq-client.js';
import { createHand, type Hand } from '../../src/brokers/rocketmq-hand.js';
import { encodeMessage } from '../../src/brokers/rocketmq-message.js';

const SHARE = 'broker-a';
const STOPPED_AT = 1_000;

let now: number;
/** Message ids: begun, acknowledged, given back. */
let begun: string[];
let done: string[];
let back: string[];
/** What a message's handling waits for. */
let gates: Map<string, Promise<void>>;

beforeEach(() => {
  now = 0;
  [begun, done, back, gates] = [[], [], [], new Map()];
});

/** A server that takes whatever it is told. */
const client = {
  call: (_: string, request: service.AckMessageRequest | service.ChangeInvisibleDurationRequest) => {
    if (request instanceof service.AckMessageRequest) {
      done.push(...request.getEntriesList().map((entry) => entry.getMessageId()));
      return Promise.resolve(new service.AckMessageResponse());
    }
    back.push(request.getMessageId());
    return Promise.resolve(new service.ChangeInvisibleDurationResponse().setReceiptHandle('next'));
  },
} as unknown as RocketMqClient;

function startHand(ordered: boolean): Hand {
  const handle = async ({ id }: { readonly id: string }): Promise<void> => {
    begun.push(id);
    await gates.get(id);
  };
  const subscription = { from: 'notes', group: 'notes', ordered, handle, onTrouble: () => undefined };
  return createHand({ client, clientId: 'c-1', subscription, clock: () => now });
}

function message(id: string, key?: string): Message {
  const raw = encodeMessage(
    { id, key, contentType: 'text/plain', headers: {}, body: Buffer.from('x') },
    'notes',
    'normal',
  );
  raw.getSystemProperties()!.setMessageId(id).setReceiptHandle('first');
  return raw;
}

/** Holds the handling of a message; call what it returns to let it end. */
function hold(id: string): () => void {
  let release!: () => void;
  gates.set(id, new Promise<void>((resolve) => (release = resolve)));
  return release;
}

describe('Messages of RocketMQ in the hand of a consumer that is stopped', () => {
  it('begins for 8 s what still comes, and gives back what comes later', async () => {
    const hand = startHand(false);
    now = STOPPED_AT;
    hand.stop();
    now = STOPPED_AT + 8_000;
    hand.take(message('in-time'), SHARE);
    now += 1;
    hand.take(message('late'), SHARE);
    await hand.empty();
    expect({ begun, done, back }).toEqual({ begun: ['in-time'], done: ['in-time'], back: ['late'] });
  });

  it('gives back what has waited for its turn for longer than that, though it came in time', async () => {
    const hand = startHand(true);
    const release = hold('slow');
    now = STOPPED_AT;
    hand.stop();
    hand.take(message('slow', 'k'), SHARE);
    hand.take(message('behind', 'k'), SHARE);
    now += 8_001;
    release();
    await hand.empty();
    expect({ begun, done, back }).toEqual({ begun: ['slow'], done: ['slow'], back: ['behind'] });
  });

  it('lets nothing that comes still overtake what of its key goes back', async () => {
    const hand = startHand(true);
    const release = hold('under-way');
    hand.take(message('under-way', 'k'), SHARE);
    hand.take(message('waiting', 'k'), SHARE);
    now = STOPPED_AT;
    hand.stop();
    hand.take(message('after', 'k'), SHARE);
    hand.take(message('of-another-key', 'other'), SHARE);
    release();
    await hand.empty();
    expect(begun).toEqual(['under-way', 'of-another-key']);
    expect([done.toSorted(), back]).toEqual([
      ['of-another-key', 'under-way'],
      ['waiting', 'after'],
    ]);
  });
});

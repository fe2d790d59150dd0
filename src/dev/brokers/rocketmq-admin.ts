import { once } from 'node:events';
import { connect } from 'node:net';

/** What a topic takes; RocketMQ refuses messages of any other type. `mixed` takes all. */
export type TopicType = 'normal' | 'fifo' | 'transaction' | 'mixed';

/** Of a broker's administration: what `mqadmin` does, without a Java process a call. */
export interface RocketMqAdmin {
  /** Creates a topic, or changes it. */
  createTopic(name: string, options?: { readonly type?: TopicType; readonly queues?: number }): Promise<void>;
  /**
   * Creates a consumer group that never dead-letters, or changes it.
   *
   * @param options `isOrdered`: a queue goes to one consumer at a time
   */
  createGroup(name: string, options?: { readonly isOrdered?: boolean; readonly maxRetries?: number }): Promise<void>;
  /** Changes settings of the running broker, e.g. `startAcceptSendRequestTimeStamp`, until when it takes nothing. */
  configure(settings: Readonly<Record<string, string>>): Promise<void>;
}

/** Codes of RocketMQ's remoting protocol. */
const UPDATE_TOPIC = 17;
const UPDATE_SETTINGS = 25;
const UPDATE_GROUP = 200;
const SUCCESS = 0;

const READ_WRITE = 6;
/** The proxy adds one to it, and the result must still be an int. */
const NEVER = 1_000_000;
const TIMEOUT_MS = 10_000;

/**
 * Administers the broker that listens on a port of 127.0.0.1, by its remoting protocol.
 *
 * @throws Error when it refuses, from each of its methods
 */
export function administerRocketMq(port: number): RocketMqAdmin {
  return {
    createTopic: (name, { type = 'normal', queues = 8 } = {}) =>
      ask(port, {
        code: UPDATE_TOPIC,
        extFields: {
          topic: name,
          defaultTopic: 'TBW102',
          readQueueNums: String(queues),
          writeQueueNums: String(queues),
          perm: String(READ_WRITE),
          topicFilterType: 'SINGLE_TAG',
          topicSysFlag: '0',
          order: 'false',
          attributes: `+message.type=${type.toUpperCase()}`,
        },
      }),
    createGroup: (name, { isOrdered = false, maxRetries = NEVER } = {}) => {
      const group = { groupName: name, consumeMessageOrderly: isOrdered, retryMaxTimes: maxRetries };
      return ask(port, { code: UPDATE_GROUP, body: JSON.stringify(group) });
    },
    configure: (settings) => {
      const lines = Object.entries(settings).map(([name, value]) => `${name}=${value}\n`);
      return ask(port, { code: UPDATE_SETTINGS, body: lines.join('') });
    },
  };
}

interface Question {
  readonly code: number;
  readonly extFields?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** Frame: its length, the header's length, the header as JSON, the body. */
async function ask(port: number, { code, extFields = {}, body = '' }: Question): Promise<void> {
  const header = Buffer.from(JSON.stringify({ code, extFields, language: 'OTHER', version: 0, opaque: 1, flag: 0 }));
  const content = Buffer.from(body);
  const lengths = Buffer.alloc(8);
  lengths.writeUInt32BE(4 + header.length + content.length, 0);
  lengths.writeUInt32BE(header.length, 4);
  const socket = connect({ port, host: '127.0.0.1' });
  socket.setTimeout(TIMEOUT_MS, () => socket.destroy(new Error(`no answer within ${TIMEOUT_MS / 1_000} s`)));
  try {
    socket.write(Buffer.concat([lengths, header, content]));
    let answer = Buffer.alloc(0);
    while (!isWhole(answer)) {
      const [chunk] = (await once(socket, 'data')) as [Buffer];
      answer = Buffer.concat([answer, chunk]);
    }
    const headerLength = answer.readUInt32BE(4) & 0xff_ffff;
    const { code: result, remark } = JSON.parse(answer.toString('utf8', 8, 8 + headerLength)) as Answer;
    if (result !== SUCCESS) throw new Error(`RocketMQ refused request ${code}: ${remark ?? `code ${result}`}`);
  } finally {
    socket.destroy();
  }
}

interface Answer {
  readonly code: number;
  readonly remark?: string;
}

function isWhole(answer: Buffer): boolean {
  return answer.length >= 4 && answer.length >= 4 + answer.readUInt32BE(0);
}

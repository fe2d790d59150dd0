import type { BrokerMessage, IncomingMessage } from './broker.js';

/** A message in a stream, as a consumer was given it. */
export interface Entry {
  /** Its place in the stream. */
  readonly entryId: string;
  readonly message: IncomingMessage;
}

/** An entry as it is read: its place, how often it was given to somebody before, names and values in turn. */
export type RawEntry = readonly [entryId: Buffer | string, deliveries: number, fields: readonly Buffer[] | null];

/** The fields of a stream entry: `id`, `type`, `headers` (JSON), `key` where there is one, `body`. */
export function encodeEntry({ id, key, contentType, headers, body }: BrokerMessage): (string | Buffer)[] {
  const named = ['id', id, 'type', contentType, 'headers', JSON.stringify(headers)];
  return [...named, ...(key === undefined ? [] : ['key', key]), 'body', body];
}

/** How much of a stream a message takes, in bytes; Redis adds some dozens. */
export function entryBytes(message: BrokerMessage): number {
  return encodeEntry(message).reduce((sum, each) => sum + Buffer.byteLength(each), 0);
}

/** Reads an entry. Whatever somebody else has written there becomes a message too, so that it can be refused with a reason. */
export function decodeEntry([entryId, deliveries, fields]: RawEntry, from: string): Entry {
  const values = new Map<string, Buffer>();
  for (let at = 0; at + 1 < (fields?.length ?? 0); at += 2) values.set(fields![at]!.toString(), fields![at + 1]!);
  const id = entryId.toString();
  const message: IncomingMessage = {
    id: values.get('id')?.toString() ?? id,
    key: values.get('key')?.toString(),
    contentType: values.get('type')?.toString() ?? 'application/octet-stream',
    headers: decodeHeaders(values.get('headers')),
    body: values.get('body') ?? Buffer.alloc(0),
    from,
    isRedelivered: deliveries > 0,
  };
  return { entryId: id, message };
}

function decodeHeaders(text: Buffer | undefined): Record<string, string> {
  try {
    const headers: unknown = JSON.parse(text?.toString() ?? '{}');
    const entries = Object.entries(headers ?? {}).filter(
      (entry): entry is [string, string] => typeof entry[1] === 'string',
    );
    return Object.fromEntries(entries);
  } catch {
    // written by somebody else: whoever handles it sees that its attributes are missing
    return {};
  }
}

import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import type { Cancel, ClientJournal, ClientRequest, ClientResponse, Poll } from './evidence.js';

/** One line of C. */
type Line =
  | ({ readonly kind: 'request' } & ClientRequest)
  | ({ readonly kind: 'response' } & ClientResponse)
  | ({ readonly kind: 'poll' } & Poll)
  | ({ readonly kind: 'cancel' } & Cancel);

/** The load client's own record: a line is on the disk before the next thing happens. */
export interface JournalFile {
  write(line: Line): void;
  close(): void;
}

/** Opens a journal; every line is synced as it is written. */
export function openJournal(file: string): JournalFile {
  const descriptor = openSync(file, 'as');
  return {
    write: (line) => void writeSync(descriptor, `${JSON.stringify(line)}\n`),
    close: () => {
      closeSync(descriptor);
    },
  };
}

/** @param planned how many different requests the schedule wanted */
export function readJournal(file: string, planned: number): ClientJournal {
  const lines = readFileSync(file, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Line);
  const of = <Kind extends Line['kind']>(kind: Kind): Extract<Line, { kind: Kind }>[] =>
    lines.filter((line): line is Extract<Line, { kind: Kind }> => line.kind === kind);
  return { planned, requests: of('request'), responses: of('response'), polls: of('poll'), cancels: of('cancel') };
}

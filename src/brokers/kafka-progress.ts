/** What a consumer has handled of one partition. Kafka itself remembers one offset: everything before it is done. */
export interface PartitionProgress {
  /** The next offset to fetch. */
  readonly position: () => bigint;
  /** Fetched and not finished. */
  readonly openCount: () => number;
  /** @returns whether the record at this offset has yet to be handled */
  fetched(offset: bigint): boolean;
  /** Goes past offsets at which there is no record for us. */
  advanceTo(position: bigint): void;
  finish(offset: bigint): void;
  /** What to commit: everything before `offset` is done, and `metadata` says what is done after it. */
  commit(): Commit;
}

/** A committed offset, as Kafka keeps it. */
export interface Commit {
  readonly offset: bigint;
  /** `done:3-8,10-29`: offsets relative to it, both inclusive; empty when nothing is done after it. */
  readonly metadata: string;
}

interface Range {
  readonly from: bigint;
  readonly to: bigint;
}

const PREFIX = 'done:';
/** Kafka keeps 4096 bytes, unless it is set up otherwise. */
const METADATA_LIMIT = 4_000;

/**
 * Follows one partition from where its group was. A message that waits for its next try holds the committed offset back; what was handled
 * after it is written down beside the offset, so that whoever goes on, also after a crash, does not repeat it.
 *
 * @param start as it was committed; `metadata` that is not ours counts as empty
 */
export function createProgress(start: Commit): PartitionProgress {
  const open = new Set<bigint>();
  let skipped = parse(start);
  let position = start.offset;

  function advanceTo(next: bigint): void {
    if (next > position) position = next;
    if (skipped.length > 0 && skipped[0]!.to < position) skipped = skipped.filter(({ to }) => to >= position);
  }

  function lowest(): bigint {
    for (const offset of open) return offset;
    return skipped[0]?.from === position ? skipped[0].to + 1n : position;
  }

  return {
    position: () => position,
    openCount: () => open.size,
    fetched: (offset) => {
      if (offset < position) return false;
      const isDone = skipped.some(({ from, to }) => from <= offset && offset <= to);
      advanceTo(offset + 1n);
      if (!isDone) open.add(offset);
      return !isDone;
    },
    advanceTo,
    finish: (offset) => void open.delete(offset),
    commit: () => {
      const offset = lowest();
      const after = skipped.filter(({ to }) => to >= offset).map(({ from, to }) => ({ from: max(from, position), to }));
      const done = [...gapsIn(open, position), ...after].filter(({ from, to }) => from > offset && from <= to);
      return { offset, metadata: format(offset, done) };
    },
  };
}

/** What lies between open offsets, which come in order, and before `end`. */
function gapsIn(open: Iterable<bigint>, end: bigint): Range[] {
  const gaps: Range[] = [];
  let last: bigint | undefined;
  for (const offset of [...open, end]) {
    if (last !== undefined && offset > last + 1n) gaps.push({ from: last + 1n, to: offset - 1n });
    last = offset;
  }
  return gaps;
}

function format(base: bigint, ranges: readonly Range[]): string {
  let text = '';
  for (const { from, to } of ranges) {
    const next = `${text === '' ? PREFIX : `${text},`}${from - base}-${to - base}`;
    // what does not fit is repeated after a crash
    if (next.length > METADATA_LIMIT) break;
    text = next;
  }
  return text;
}

function parse({ offset, metadata }: Commit): Range[] {
  if (!/^done:\d+-\d+(,\d+-\d+)*$/.test(metadata)) return [];
  const ranges = metadata.slice(PREFIX.length).split(',');
  return ranges.map((range) => {
    const [from, to] = range.split('-');
    return { from: offset + BigInt(from!), to: offset + BigInt(to!) };
  });
}

function max(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

/** Whom an item may share a call with: those of the same key, so many at the most. */
export interface Company {
  readonly key: string;
  readonly atMost: number;
}

interface Waiting<Item, Answer> {
  readonly item: Item;
  readonly answer: (answer: Answer | PromiseLike<Answer>) => void;
}

/**
 * Makes one call of many: items of the same key that come within `waitMs` go together.
 *
 * @param callAll answers each item, in order
 */
export function createGatherer<Item, Answer>(
  callAll: (items: readonly Item[]) => Promise<readonly Answer[]>,
  waitMs: number,
): (item: Item, company: Company) => Promise<Answer> {
  const gathering = new Map<string, Waiting<Item, Answer>[]>();
  const send = (key: string, group: readonly Waiting<Item, Answer>[]): void => {
    if (gathering.get(key) !== group) return;
    gathering.delete(key);
    const answers = callAll(group.map(({ item }) => item));
    group.forEach(({ answer }, index) => answer(answers.then((all) => all[index]!)));
  };
  return (item, { key, atMost }) =>
    new Promise((answer) => {
      const group = gathering.get(key) ?? [];
      group.push({ item, answer });
      if (group.length === 1) {
        gathering.set(key, group);
        setTimeout(send, waitMs, key, group);
      }
      if (group.length >= atMost) send(key, group);
    });
}

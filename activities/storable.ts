/** Whether PostgreSQL's jsonb can hold a result: it takes neither NUL nor lone surrogates; `JSON.stringify` escapes both. */
export function isStorable(result: unknown): boolean {
  return !/\\u(?:0000|d[89a-f][0-9a-f]{2})/i.test(JSON.stringify(result ?? null));
}

/** A text as the ledger keeps it, for people to read: cut, and without what PostgreSQL cannot hold. */
export function cleaned(text: string): string {
  return text.slice(0, 500).replaceAll('\0', '').toWellFormed();
}

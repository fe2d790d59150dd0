import { BrokerError } from '../../src/brokers/broker.js';

/** Ids of messages, e.g. `m-0`. */
export function names(count: number, prefix = 'm'): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}-${index}`);
}

/** Holds whoever passes until it is opened. */
export function gate(): { readonly passed: Promise<void>; readonly open: () => void } {
  let open = (): void => undefined;
  const passed = new Promise<void>((resolve) => (open = resolve));
  return { passed, open };
}

/** What a publication failed with. */
export async function errorOf(work: Promise<unknown>): Promise<BrokerError> {
  const error: unknown = await work.then(
    () => undefined,
    (cause: unknown) => cause,
  );
  expect(error).toBeInstanceOf(BrokerError);
  return error as BrokerError;
}

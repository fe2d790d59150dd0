/** Who a local transaction runs for: what it may need beyond its input. */
export interface LocalContext<Input = unknown> {
  readonly sagaId: string;
  readonly tenantId: string;
  readonly input: Input;
  /** The results of the steps before it, by step name. */
  readonly results: Readonly<Record<string, unknown>>;
}

/**
 * The producer's own database transaction: `tx` is the open transaction, its commit is Settle's.
 * Throw {@link RejectedError} to refuse; anything else is tried again.
 */
export type LocalWork<Tx, Input, Result> = (tx: Tx, context: LocalContext<Input>) => Promise<Result>;

/** A local transaction by name, with the types of its implementation and none of its code. */
export interface LocalRef<Input = unknown, Result = unknown> {
  readonly local: string;
  /** Carries the types; never present at run time. */
  readonly types?: (input: Input) => Result;
}

/** The references of a module of local transactions. */
export type LocalRefs<Module> = {
  readonly [K in keyof Module as Module[K] extends LocalWork<never, never, unknown> ? K : never]: Module[K] extends (
    tx: never,
    context: LocalContext<infer Input>,
  ) => Promise<infer Result>
    ? LocalRef<Input, Result>
    : never;
};

/**
 * Names the local transactions of a module without importing it, so that a definition stays pure.
 *
 * @param scenario the module's word, e.g. `orders`; its function `place` is called `orders.place`
 * @example const orders = localWork<typeof import('../activities/orders.js')>('orders');
 */
export function localWork<Module>(scenario: string): LocalRefs<Module> {
  const reference = (_: object, name: string | symbol): LocalRef => ({ local: `${scenario}.${String(name)}` });
  return new Proxy({}, { get: reference }) as LocalRefs<Module>;
}

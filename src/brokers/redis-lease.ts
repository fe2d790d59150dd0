/** The right to be the one consumer of an ordered stream, for a while. */
export interface Lease {
  /** Whether it is surely still there; once it was not, only {@link take} brings it back. */
  isHeld(): boolean;
  /** Takes it where nobody has it; keeps it from then on until it is lost or let go. */
  take(): Promise<boolean>;
  /** Redis says that it is another's. */
  lose(): void;
  /** Lets it go, so that another need not wait for its end. */
  release(): Promise<void>;
}

export interface LeaseOptions {
  readonly leaseMs: number;
  /** Asks for it for `ms`; true where it is this consumer's now. */
  readonly acquire: (ms: number) => Promise<boolean>;
  /** Makes it last `ms` from now, 0 to end it; false where it is not this consumer's. */
  readonly extend: (ms: number) => Promise<boolean>;
  readonly onTrouble: (error: Error) => void;
}

/**
 * Keeps a lease by the clock of this process, which counts from before Redis was asked: it ends here before it ends there.
 */
export function createLease({ leaseMs, acquire, extend, onTrouble }: LeaseOptions): Lease {
  let heldUntil = 0;
  let timer: NodeJS.Timeout | undefined;

  const isHeld = (): boolean => {
    // never revived by an answer that comes late: what was begun in between was dropped
    if (performance.now() >= heldUntil) lose();
    return heldUntil > 0;
  };
  const lose = (): void => {
    heldUntil = 0;
    clearInterval(timer);
  };
  const renew = async (): Promise<void> => {
    const askedAt = performance.now();
    try {
      const isExtended = await extend(leaseMs);
      if (!isHeld()) return;
      if (isExtended) heldUntil = askedAt + leaseMs;
      else lose();
    } catch (cause) {
      onTrouble(cause as Error);
    }
  };
  return {
    isHeld,
    lose,
    take: async () => {
      const askedAt = performance.now();
      if (!(await acquire(leaseMs))) return false;
      clearInterval(timer);
      heldUntil = askedAt + leaseMs;
      timer = setInterval(() => void renew(), leaseMs / 3);
      return true;
    },
    release: async () => {
      if (!isHeld()) return;
      lose();
      await extend(0);
    },
  };
}

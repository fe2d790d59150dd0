import type { Broker, Destination } from './broker.js';

/** Between two tries, in ms. */
const EVERY_MS = 5_000;

/**
 * What a consumer does about trouble beside telling of it: its destination may be gone, with the broker's data or by somebody's hand,
 * and whatever is sent there meanwhile is lost.
 */
export function redeclaring(
  broker: Pick<Broker, 'declare'>,
  destination: Destination,
  onTrouble: (error: Error) => void,
): (error: Error) => void {
  let lastMs = 0;
  return (error) => {
    onTrouble(error);
    if (Date.now() - lastMs < EVERY_MS) return;
    lastMs = Date.now();
    // a broker that is away declares nothing: the next trouble tries again
    broker.declare(destination).catch(() => undefined);
  };
}

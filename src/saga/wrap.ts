/**
 * A port on its way into the part that uses it: production hands it on as it is, a fault test returns one that fails on purpose.
 *
 * @param name what the port is called, e.g. `activities`
 */
export type Wrap = <T extends object>(name: string, port: T) => T;

/** Hands every port on as it is. */
export const unwrapped: Wrap = (_name, port) => port;

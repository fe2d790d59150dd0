/** The body of an answer that is no result (RFC 9457). */
export interface Problem {
  /** Stable: `urn:settle:problem:` and the code. */
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail: string;
  readonly code: string;
}

/** Thrown when a request cannot be read as a message: definitely not applied, nothing was changed. */
export class BadRequestError extends Error {
  override readonly name = 'BadRequestError';
  readonly status: number;
  readonly code: string;
  constructor(...[status, code, message, options]: [number, string, string, ErrorOptions?]) {
    super(message, options);
    this.status = status;
    this.code = code;
  }
}

/** A problem from its status, its stable code and a sentence for people. */
export function problemOf(status: number, code: string, detail: string): Problem {
  return { type: `urn:settle:problem:${code}`, title: code.replaceAll('-', ' '), status, detail, code };
}

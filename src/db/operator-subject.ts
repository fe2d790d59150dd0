import type { Reason } from '../saga/errors.js';
import type { AnyAction, Operation } from '../saga/operator.js';
import type { SagaOutcome } from '../saga/state.js';
import type { ParkedItem } from './parked-items.js';

/** What an operator asks for. */
export interface OperatorRequest {
  readonly tenantId: string;
  /** Of the saga or message. */
  readonly subjectId: string;
  readonly actionId: string;
  /** Of the whole request: the same id with another one is refused. */
  readonly requestHash: string;
  readonly requestId: string;
  readonly action: AnyAction;
  readonly actor: string;
  readonly reason: string;
  /** @default the only parked step */
  readonly step?: string;
  /** What the attested effect resulted in; with `skip`. */
  readonly result?: unknown;
  /** With `resolve`. */
  readonly outcome?: SagaOutcome;
  /** With `edit`. */
  readonly payload?: unknown;
  /** That the effect may be repeated, as the participant may have forgotten it. @default false */
  readonly mayRepeat?: boolean;
  /** The item as it was when the operator looked at it, see `versionOf`. @default as it is */
  readonly version?: string;
}

/** A saga or message, locked, as far as an operator is concerned. */
export interface Subject {
  readonly state: string;
  readonly reason: Reason | null;
  /** What waits, with what may be done about each. */
  readonly items: readonly ParkedItem[];
  /** Whether nobody has to be told of what is decided: the ledger is all that is read. @default false */
  readonly isHeard?: boolean;
  /** What the audit trail shows of it; JSON text, so that numbers stay as they are written. */
  snapshot(item: ParkedItem): Promise<string>;
  /** Changes the ledger as the request asks. */
  change(request: OperatorRequest, item: ParkedItem, operation: Operation): Promise<void>;
}

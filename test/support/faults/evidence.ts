/**
 * What a run leaves behind. `client` (C) and `effects` (E) are not written by the system under test; the rest is what it claims.
 * Times are ms since the epoch with fractions, all read from one machine's clock.
 */
export interface Evidence {
  readonly client: ClientJournal;
  readonly effects: readonly Effect[];
  readonly ledger: LedgerRows;
  readonly inbox: readonly InboxRow[];
  readonly books: Books;
  readonly workflows: readonly WorkflowRun[];
  readonly replays: readonly ReplayFailure[];
  readonly faults: readonly Fault[];
}

/** C: what the load client sent and what it was told, in its own fsynced file. */
export interface ClientJournal {
  /** How many requests the schedule wanted. */
  readonly planned: number;
  readonly requests: readonly ClientRequest[];
  readonly responses: readonly ClientResponse[];
  readonly polls: readonly Poll[];
  readonly cancels: readonly Cancel[];
}

export interface ClientRequest {
  readonly at: number;
  readonly key: string;
  readonly tenant: string;
  /** What it is meant to show, e.g. `completes`, `other-body`. */
  readonly scenario: string;
  readonly body: unknown;
}

export interface ClientResponse {
  readonly at: number;
  readonly key: string;
  readonly tenant: string;
  readonly scenario: string;
  /** HTTP status; 0 when there was no answer. */
  readonly status: number;
  readonly sagaId?: string;
  readonly orderId?: string;
  readonly state?: string;
}

/** One answer of `GET /v1/sagas/{id}`. */
export interface Poll {
  readonly at: number;
  readonly sagaId: string;
  readonly state: string;
}

export interface Cancel {
  readonly at: number;
  readonly sagaId: string;
  readonly status: number;
}

/** E: one business row that a participant (or the producer's local step) wrote, noted by a trigger of the test. */
export interface Effect {
  readonly service: 'orders' | 'inventory' | 'accounts';
  readonly position: number;
  readonly at: number;
  readonly sagaId: string;
  readonly step: string;
  readonly action: 'do' | 'undo';
  /** The order, sku or account. */
  readonly subject: string;
  readonly amount: number;
  readonly txid: string;
}

export interface SagaRow {
  readonly id: string;
  readonly tenantId: string;
  readonly key: string;
  readonly businessKey: string;
  readonly state: string;
  readonly reason: { readonly code: string } | null;
  /** Whether the express lane has settled it: then it never had a workflow. */
  readonly isExpress: boolean;
  readonly input: Readonly<Record<string, unknown>>;
  /** The steps as pinned: a list of groups, each a list of names. */
  readonly plan: readonly (readonly PlannedStep[])[];
}

export interface PlannedStep {
  readonly name: string;
  readonly type: 'local' | 'message';
}

export interface SagaEvent {
  readonly id: number;
  readonly sagaId: string;
  readonly state: string;
  readonly at: number;
}

export interface StepEffect {
  readonly sagaId: string;
  readonly step: string;
  readonly action: 'do' | 'undo';
  readonly status: string;
  readonly at: number;
  readonly txid: string;
}

export interface MessageRow {
  readonly sagaId: string;
  readonly step: string;
  readonly action: 'do' | 'undo';
  readonly status: string;
  readonly attempts: number;
  readonly firstSentAt: number | null;
  readonly txid: string;
}

/** The business row of the local step. */
export interface OrderRow {
  readonly orderId: string;
  readonly sagaId: string;
  readonly status: string;
  readonly total: number;
  readonly txid: string;
}

export interface LedgerRows {
  readonly sagas: readonly SagaRow[];
  readonly events: readonly SagaEvent[];
  readonly stepEffects: readonly StepEffect[];
  readonly messages: readonly MessageRow[];
  readonly orders: readonly OrderRow[];
}

export interface InboxRow {
  readonly service: 'inventory' | 'accounts';
  readonly sagaId: string;
  readonly step: string;
  readonly action: 'do' | 'undo';
  readonly status: string;
  readonly at: number;
  readonly messageId: string;
  readonly txid: string;
}

/** Balances and stock: what each should be, counted from its opening and from E, and what it is. */
export interface Books {
  readonly rows: readonly BookRow[];
  /** One per snapshot taken while the run was on; each is empty when all was well. */
  readonly live: readonly LiveProblem[];
  /** How many snapshots were taken. */
  readonly snapshots: number;
}

export interface BookRow {
  readonly service: 'inventory' | 'accounts';
  readonly subject: string;
  readonly opening: number;
  readonly moved: number;
  readonly actual: number;
}

export interface LiveProblem {
  readonly at: number;
  readonly invariant: 'I10' | 'I11';
  readonly detail: string;
}

export interface WorkflowRun {
  readonly workflowId: string;
  readonly runId: string;
  readonly status: string;
  /** The result's outcome, when it completed. */
  readonly outcome?: string;
  /** Workflow tasks that failed, with their causes. */
  readonly failedTasks: readonly string[];
}

export interface ReplayFailure {
  readonly workflowId: string;
  readonly error: string;
}

/** A fault that was planned, and the proof that it happened. */
export interface Fault {
  readonly name: string;
  readonly at: number;
  /** E.g. `exit signal 9 of pid 4711`, `12 answers lost`; absent: it never fired. */
  readonly proof?: string;
}

/** What a run was meant to be; the checker holds it against what it was. */
export interface Expectations {
  /** Sagas that end up parked. @default 0 */
  readonly parked?: number;
  /** Whether deliveries were repeated on purpose: then some must have been refused as duplicates. @default false */
  readonly duplicates?: boolean;
  /** Whether Temporal still has every run. @default true */
  readonly retainsWorkflows?: boolean;
}

/** A broken invariant, with the rows that break it. */
export interface Violation {
  /** Its number in INVARIANTS, e.g. `I6`. */
  readonly invariant: string;
  readonly problem: string;
  /** Saga ids or keys. */
  readonly ids: readonly string[];
  readonly rows: readonly unknown[];
}

/** What people should hear of. */
export const NOTICE_TYPES = ['saga.parked', 'saga.stuck', 'half-message.parked', 'message.dead'] as const;
export type NoticeType = (typeof NOTICE_TYPES)[number];

/**
 * Why a saga is stuck though it is not parked: `not-started`: accepted, and no workflow has taken it up;
 * `overdue`: under way for longer than its plan can take.
 */
export const STUCK_CAUSES = ['not-started', 'overdue'] as const;
export type StuckCause = (typeof STUCK_CAUSES)[number];

/** Something that people should hear of. */
export interface Notice {
  readonly id: string;
  readonly tenantId: string;
  readonly type: NoticeType;
  /** Of the saga or message. */
  readonly subjectId: string;
  /** A reason's code, or the cause of being stuck. */
  readonly cause: string;
  /** The saga or message, and why; never a payload. */
  readonly data: Readonly<Record<string, unknown>>;
  readonly at: Date;
}

/** What a webhook or an event stream carries of a notice. */
export interface NoticeBody {
  readonly type: NoticeType;
  /** ISO 8601. */
  readonly timestamp: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** What to do next, for the person who hears of it. */
const NEXT_ACTIONS: Readonly<Record<string, string>> = {
  'not-started': 'see whether a worker runs and Temporal can be reached; the ledger scan starts it as soon as both do',
  overdue: 'look at its workflow in the Temporal Web UI, and at its last errors: settle show',
};
const PARKED = 'decide what becomes of it: settle show lists what may be done';

/** A notice as others are told of it. */
export function noticeBody({ type, at, cause, data }: Notice): NoticeBody {
  return {
    type,
    timestamp: at.toISOString(),
    data: { ...data, cause, nextAction: NEXT_ACTIONS[cause] ?? PARKED },
  };
}

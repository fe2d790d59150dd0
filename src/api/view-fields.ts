import { z } from 'zod';
import { ALL_ACTIONS } from '../saga/operator.js';
import { SAGA_STATES } from '../saga/state.js';

/** A moment in ISO 8601. */
export const Time = z.string().meta({ format: 'date-time', examples: ['2026-01-31T12:00:00.000Z'] });

/** The id of a saga. */
export const SagaId = z.string().meta({ examples: ['sg_0198c5a0-7e1c-7000-8000-000000000001'] });

/** The state of a saga. */
export const SagaStateName = z.enum(SAGA_STATES);

/** A stable code for programs, a sentence for people. */
export const ReasonView = z
  .object({ code: z.string(), message: z.string(), step: z.string().optional() })
  .describe('Why it was refused or given up.');

/** What is said of an answer to an accepted request. */
export const ACCEPTED = 'Stored durably; it will complete or be undone. Repeating the request brings the same answer.';

/** What an operator did, as a saga or message shows it. */
export const ActionNote = z.object({
  actionId: z.string(),
  step: z.string(),
  action: z.enum(ALL_ACTIONS),
  actor: z.string(),
  reason: z.string(),
  at: Time,
});

import { z } from 'zod';
import { ACCEPTED, ReasonView, SagaId, SagaStateName, Time } from './view-fields.js';

const UserId = z.string().meta({ examples: ['usr_0198c5a0-7e1c-7000-8000-000000000004'] });
const names = { userName: z.string(), email: z.string() };

/** The answer to a registration that was accepted. */
export const RegistrationAcceptedView = z
  .object({ sagaId: SagaId, userId: UserId, state: z.literal('accepted') })
  .describe(ACCEPTED);
export type RegistrationAcceptedView = z.infer<typeof RegistrationAcceptedView>;

/** The answer after the local transaction. */
export const UserRegisteredView = z
  .object({ sagaId: SagaId, userId: UserId, status: z.literal('registered'), ...names, registeredAt: Time })
  .describe('The user as the local transaction committed it; profile, preferences and credit follow.');
export type UserRegisteredView = z.infer<typeof UserRegisteredView>;

/** A registration and its saga's state. */
export const RegistrationView = z.object({
  userId: UserId,
  sagaId: SagaId,
  status: z
    .enum(['pending', 'registered', 'removed', 'rejected'])
    .describe('pending: its local transaction has not run; rejected: it refused, or never ran and never will.'),
  sagaState: SagaStateName,
  reason: ReasonView.nullable(),
  ...names,
  registeredAt: Time.nullable(),
});
export type RegistrationView = z.infer<typeof RegistrationView>;

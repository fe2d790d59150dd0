import { Inject, Injectable } from '@nestjs/common';
import { v7 } from 'uuid';
import type { RegistrationRecord } from '../db/registrations.js';
import type { AcceptedSaga } from '../db/saga-store.js';
import type { RegisterUser, RegistrationRequest } from '../messages/registrations.js';
import { isTerminal } from '../saga/state.js';
import type { Acceptance } from './accept-reply.js';
import { Intake } from './intake.js';
import type { WaitOptions } from './ledger-watcher.js';
import { PARTS, type ApiParts } from './parts.js';
import { ProblemError } from './problems.js';
import type { RegistrationAcceptedView, RegistrationView, UserRegisteredView } from './registrations.schemas.js';

/** Accepts registrations and tells what became of them. */
@Injectable()
export class RegistrationsService {
  constructor(
    @Inject(PARTS) private readonly parts: ApiParts,
    @Inject(Intake) private readonly intake: Intake,
  ) {}

  /** How a registration is accepted, and what its client is told. */
  acceptance(registration: RegistrationRequest): Acceptance<RegistrationAcceptedView, UserRegisteredView> {
    const input: RegisterUser = { userId: `usr_${v7()}`, ...registration };
    return {
      accept: (caller) =>
        this.intake.accept({ ...caller, definition: this.parts.definitions.registerUser, body: registration, input }),
      accepted: (saga) => ({ sagaId: saga.id, userId: inputOf(saga).userId, state: 'accepted' }),
      untilDone: (saga, options) => this.untilRegistered(saga, options),
      location: (saga) => `/v1/registrations/${inputOf(saga).userId}`,
    };
  }

  /**
   * One registration of a tenant.
   *
   * @throws ProblemError `not-found`
   */
  async get(key: { tenantId: string; userId: string }): Promise<RegistrationView> {
    const user = /^usr_[0-9a-f-]{36}$/.test(key.userId) ? await this.find(key) : undefined;
    if (!user) throw new ProblemError('not-found', 'there is no such registration');
    return {
      ...user.input,
      sagaId: user.sagaId,
      status: user.status ?? (isTerminal(user.sagaState) ? 'rejected' : 'pending'),
      sagaState: user.sagaState,
      reason: user.sagaReason,
      registeredAt: user.registeredAt?.toISOString() ?? null,
    };
  }

  private async untilRegistered(saga: AcceptedSaga, options: WaitOptions): Promise<UserRegisteredView | undefined> {
    const { userId } = inputOf(saga);
    const refusal = {
      problem: 'registration-rejected',
      members: { userId },
      undone: 'the registration was undone before it was written',
    } as const;
    if (!(await this.intake.untilLocal(saga, refusal, options))) return undefined;
    const user = await this.find({ tenantId: saga.tenantId, userId });
    if (!user?.registeredAt) return undefined;
    // as its transaction committed it, so that a repeated request brings the same answer for ever
    return { ...user.input, sagaId: saga.id, status: 'registered', registeredAt: user.registeredAt.toISOString() };
  }

  private find(key: { tenantId: string; userId: string }): Promise<RegistrationRecord | undefined> {
    return this.parts.ledger.findRegistration({ ...key, sagaType: this.parts.definitions.registerUser.type });
  }
}

/** Of a repeated request, the first one's. */
function inputOf({ input }: AcceptedSaga): RegisterUser {
  return input as RegisterUser;
}

import type pg from 'pg';
import type { RegisterUser } from '../messages/registrations.js';
import { RejectedError, type Reason } from '../saga/errors.js';
import type { SagaState } from '../saga/state.js';
import type { Transaction } from './pool.js';

/** A user to be registered, and with whom. */
export interface NewUser extends RegisterUser {
  readonly sagaId: string;
  readonly tenantId: string;
}

/**
 * Writes the user's row, in the transaction of its step.
 *
 * @throws RejectedError `user-name-taken`
 */
export async function insertUser(tx: Transaction, user: NewUser): Promise<{ userId: string }> {
  const { rowCount } = await tx.query({
    name: 'insert-user',
    text: `insert into people.registration (user_id, saga_id, tenant_id, user_name, email, status)
           values ($1, $2, $3, $4, $5, 'registered')
           on conflict (tenant_id, lower(user_name)) where status <> 'removed' do nothing`,
    values: [user.userId, user.sagaId, user.tenantId, user.userName, user.email],
  });
  if (rowCount === 0) throw new RejectedError('user-name-taken', `the user name '${user.userName}' is taken`);
  return { userId: user.userId };
}

/** Marks a user as removed, which gives the name free; one that is removed stays so. */
export async function markUserRemoved(tx: Transaction, userId: string): Promise<void> {
  await tx.query(`update people.registration set status = 'removed' where user_id = $1`, [userId]);
}

/** A registration: what was asked for, and the row that the local transaction wrote, where it has. */
export interface RegistrationRecord {
  readonly sagaId: string;
  readonly input: RegisterUser;
  readonly sagaState: SagaState;
  readonly sagaReason: Reason | null;
  /** Null before the local transaction, and for ever when it refused. */
  readonly status: 'registered' | 'removed' | null;
  readonly registeredAt: Date | null;
}

/** One registration of a tenant, found by its saga's business key, or undefined. */
export async function findRegistration(
  pool: pg.Pool,
  { tenantId, sagaType, userId }: { tenantId: string; sagaType: string; userId: string },
): Promise<RegistrationRecord | undefined> {
  const { rows } = await pool.query<RegistrationRecord>({
    name: 'find-registration',
    text: `select s.id as "sagaId", s.input, s.state as "sagaState", s.reason as "sagaReason",
                  r.status, r.registered_at as "registeredAt"
             from settle.saga s left join people.registration r on r.saga_id = s.id
            where s.tenant_id = $1 and s.business_key = $2 and s.type = $3`,
    values: [tenantId, userId, sagaType],
  });
  return rows[0];
}

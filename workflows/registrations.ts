import type * as registrationsWork from '../activities/registrations.js';
import { accounts } from '../src/messages/accounts.js';
import { preferences, profiles } from '../src/messages/profiles.js';
import { RegisterUser } from '../src/messages/registrations.js';
import { defineSaga } from '../src/saga/define-saga.js';
import { localWork } from '../src/saga/local-work.js';
import { sagaWorkflow } from './saga-runner.js';

const registrations = localWork<typeof registrationsWork>('registrations');

/** What a new user is given to begin with. */
const WELCOME_CREDIT = { currency: 'EUR', amount: 500 } as const;

/**
 * Registers a user: the user's row, then profile, preferences and welcome credit at the same time, then the mail.
 * The mail cannot be unsent, so it waits until nothing can be refused any more; then it is tried until it is sent.
 * As a step of another saga it waits for that one to complete: until then everything before it can be taken back.
 */
export const registerUserSaga = defineSaga('register-user', {
  input: RegisterUser,
  businessKey: (user) => user.userId,
  deadline: '15m',
})
  .local('user', registrations.register, { undo: registrations.remove })
  .parallel((group) =>
    group
      .message('profile', profiles.create, ({ input }) => ({ ...input }))
      .message('preferences', preferences.create, ({ input }) => ({ userId: input.userId, language: 'en' }))
      .message('credit', accounts.credit, ({ input }) => ({
        userId: input.userId,
        account: input.userId,
        ...WELCOME_CREDIT,
      })),
  )
  .returns(({ user }) => ({ userId: user.userId }))
  .message('welcome', profiles.sendWelcome, ({ input }) => ({ ...input }))
  .build();

/** The workflow of `register-user`, by the name that the Temporal Web UI shows. */
export const registerUser = sagaWorkflow(registerUserSaga);

import { z } from 'zod';
import { text } from './fields.js';

/** Unique whatever its case. */
export const UserName = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9._-]{2,31}$/,
    "must be 3 to 32 letters, digits, '.', '_' or '-', a letter or digit first",
  );

/** An address that mail can be sent to. */
export const Email = z.email('must be an e-mail address').max(254);

/** The body of `POST /v1/registrations`. */
export const RegistrationRequest = z.strictObject({ userName: UserName, email: Email });
export type RegistrationRequest = z.infer<typeof RegistrationRequest>;

/** The input of the saga `register-user`. */
export const RegisterUser = z.strictObject({ userId: text(64), ...RegistrationRequest.shape });
export type RegisterUser = z.infer<typeof RegisterUser>;

import { z } from 'zod';
import { text } from '../messages/fields.js';
import { DECIDERS, HALF_MESSAGE_STATES, MAX_BATCH, VERDICTS } from '../saga/half-message.js';
import { Json } from './storable-json.js';
import { ActionNote, Time } from './view-fields.js';

const MessageId = z.string().meta({ examples: ['msg_0198c5a0-7e1c-7000-8000-000000000003'] });
const VerdictName = z.enum(VERDICTS).describe("What became of the producer's local transaction.");
const DecidedBy = z.enum(DECIDERS);

const isPlainWebUrl = (address: string): boolean => {
  const url = URL.canParse(address) ? new URL(address) : undefined;
  return (
    url !== undefined && /^https?:$/.test(url.protocol) && url.username === '' && url.password === '' && url.hash === ''
  );
};

/** The body of `POST /v1/messages`. */
export const PrepareRequest = z.strictObject({
  type: z
    .string()
    .max(200)
    .regex(/^[\w.-]+$/, 'must be a message type')
    .describe('Where it goes: a message type that this installation has a route for.'),
  payload: Json.refine((payload) => payload !== undefined, 'is required').describe(
    'What the participant is sent, once the producer has confirmed.',
  ),
  checkBackUrl: text(2_000)
    .refine(isPlainWebUrl, 'must be an absolute http or https URL without credentials or fragment')
    .describe('Asked with POST what became of the local transaction, when the producer does not say.'),
  checkBackBatch: z
    .int()
    .min(1)
    .max(MAX_BATCH)
    .optional()
    .describe('How many messages may be asked after in one request, when the URL takes several; 1 when absent.'),
  immunityMs: z
    .int()
    .min(1)
    .max(86_400_000)
    .optional()
    .describe('How long the producer is left in peace before it is asked; 6000 when absent.'),
});
export type PrepareRequest = z.infer<typeof PrepareRequest>;

/** The answer to a preparation. */
export const PreparedView = z
  .object({ messageId: MessageId, state: z.literal('prepared') })
  .describe('Stored durably, and not delivered before it is confirmed. Repeating the request brings the same answer.');
export type PreparedView = z.infer<typeof PreparedView>;

/** The answer to a verdict. */
export const VerdictView = z
  .object({ messageId: MessageId, verdict: VerdictName, decidedBy: DecidedBy, decidedAt: Time })
  .describe('The verdict that stands. It never changes, and repeating it brings the same answer.');
export type VerdictView = z.infer<typeof VerdictView>;

/** A half message. */
export const HalfMessageView = z.object({
  messageId: MessageId,
  type: z.string(),
  state: z
    .enum(HALF_MESSAGE_STATES)
    .describe(
      [
        'prepared: waits for the verdict of its producer.',
        'confirmed: is being delivered.',
        'delivered: the participant has applied it.',
        'rolled-back: will never be delivered.',
        'parked: waits for a person; without a verdict yet, a late one still counts.',
        'discarded: confirmed, but given up by an operator: it will never be delivered.',
      ].join('\n'),
    ),
  verdict: VerdictName.nullable(),
  decidedBy: DecidedBy.nullable(),
  decidedAt: Time.nullable(),
  checkBackUrl: z.string(),
  checks: z.int().describe('Check-backs that were answered without a verdict.'),
  silences: z.int().describe('Check-backs that were not answered: they do not count.'),
  attempts: z.int().describe('Attempts to deliver it.'),
  effectKey: z.string().describe('The idempotency key that its participant is sent.'),
  lastError: z.string().nullable(),
  parkReason: z.object({ code: z.string(), message: z.string(), step: z.string().optional() }).nullable(),
  preparedAt: Time,
  updatedAt: Time,
  finishedAt: Time.nullable(),
  actions: z.array(ActionNote).describe('What operators did about it, in order.'),
  links: z.object({ temporal: z.string().describe('Its workflow in the Temporal Web UI.') }),
});
export type HalfMessageView = z.infer<typeof HalfMessageView>;

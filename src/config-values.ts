import { isIP } from 'node:net';
import { z } from 'zod';
import { milliseconds, type Duration } from './saga/duration.js';
import { LANES } from './saga/lane.js';
import { LOG_LEVELS, SAMPLE_TRANSPORTS } from './settings.js';

// The forms that settings take; each message is the remedy that `ConfigError` tells.

const HOST_NAME = /^(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*\.?$/i;
const isHost = (text: string): boolean => isIP(text) !== 0 || HOST_NAME.test(text);

/** A host name or an IP address. */
export const Host = z.string().refine(isHost, 'must be a host name or an IP address');
/** A port, as a number. */
export const Port = z
  .string()
  .regex(/^\d{1,5}$/, 'must be a port from 1 to 65535')
  .transform(Number)
  .refine((port) => port >= 1 && port <= 65_535, 'must be a port from 1 to 65535');
/** A whole number above 0. */
export const Count = z
  .string()
  .regex(/^[1-9]\d{0,8}$/, 'must be a whole number from 1 to 999999999')
  .transform(Number);
/** A span of time, in ms. */
export const Span = z
  .string()
  .regex(/^\d{1,5}(\.\d{1,3})?[mhd]$/, "must be a time such as '36h' or '7d'")
  .transform((text) => milliseconds(text as Duration))
  .refine((ms) => ms > 0 && ms <= 3_660 * 86_400_000, "must be a time from '1m' to '3660d'");
const isAddress = (text: string): boolean => {
  const [, host, port] = /^\[?(.+?)\]?:(\d+)$/.exec(text) ?? [];
  return host !== undefined && isHost(host) && Port.safeParse(port).success;
};

/** `host:port`. */
export const Address = z.string().refine(isAddress, "must be 'host:port', e.g. '127.0.0.1:7233'");
/** `host:port,host:port`. */
export const AddressList = z
  .string()
  .refine((text) => text.split(',').every(isAddress), "must be 'host:port,host:port', e.g. '127.0.0.1:9092'");
/** The URL of a RabbitMQ. */
export const AmqpUrl = z.url({
  protocol: /^amqps?$/,
  error: "must be a URL such as 'amqp://user:password@host:5672'",
});
/** The URL of a Redis. */
export const RedisUrl = z.url({
  protocol: /^rediss?$/,
  error: "must be a URL such as 'redis://user:password@host:6379/0'",
});
/** Over what the messages of the samples go. */
export const TransportName = z.enum(SAMPLE_TRANSPORTS, `must be one of ${SAMPLE_TRANSPORTS.join(', ')}`);
/** The URL of a PostgreSQL database. */
export const PostgresUrl = z.url({
  protocol: /^postgres(ql)?$/,
  error: "must be a URL such as 'postgres://user:password@host:5432/settle'",
});
/** An HTTP URL. */
export const WebUrl = z.url({ protocol: /^https?$/, error: "must be an 'http://' or 'https://' URL" });
/** A name without spaces. */
export const Word = z.string().regex(/^[\w.-]{1,200}$/, "must be of letters, digits, '.', '_' and '-' only");
/** `true` or `false`. */
export const Flag = z.enum(['true', 'false'], "must be 'true' or 'false'").transform((text) => text === 'true');
/** One of the lanes. */
export const LaneName = z.enum(LANES, `must be one of ${LANES.join(', ')}`);
/** One of pino's levels. */
export const LogLevel = z.enum(LOG_LEVELS, `must be one of ${LOG_LEVELS.join(', ')}`);
/** Keys that a webhook is signed with, as Standard Webhooks writes them: `whsec_` and 24 to 64 bytes in Base64, with commas between. */
export const WebhookSecrets = z
  .string()
  .transform((text) => text.split(',').map((secret) => secret.trim()))
  .refine((secrets) => secrets.every(isSecret), "must be 'whsec_' and 24 to 64 bytes in Base64; several with commas")
  .transform((secrets) => secrets.map(bytesOf));

function isSecret(text: string): boolean {
  const { length } = bytesOf(text);
  return /^whsec_[A-Za-z0-9+/]+={0,2}$/.test(text) && length >= 24 && length <= 64;
}

function bytesOf(text: string): Buffer {
  return Buffer.from(text.slice('whsec_'.length), 'base64');
}

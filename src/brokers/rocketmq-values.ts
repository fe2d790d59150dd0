import { createRequire } from 'node:module';
import type {
  Endpoints,
  FilterExpression,
  Resource,
} from 'rocketmq-client-nodejs/proto/apache/rocketmq/v2/definition_pb.js';
import definitions from 'rocketmq-client-nodejs/proto/apache/rocketmq/v2/definition_pb.js';

/** Loads what the stubs themselves use: objects of another copy are refused. */
export const requireFromStubs = createRequire(createRequire(import.meta.url).resolve('rocketmq-client-nodejs'));

/** A time as the stubs write it; they bring no types for it. */
interface Time {
  setSeconds(seconds: number): Time;
  setNanos(nanos: number): Time;
}
const { Duration } = requireFromStubs('google-protobuf/google/protobuf/duration_pb.js') as { Duration: new () => Time };
const { Timestamp } = requireFromStubs('google-protobuf/google/protobuf/timestamp_pb.js') as {
  Timestamp: new () => Time;
};

/** A time span, in whole ms. */
export function durationOf(ms: number): Time {
  return write(new Duration(), ms);
}

/** A moment, in ms since 1970. */
export function timestampOf(ms: number): Time {
  return write(new Timestamp(), ms);
}

/** The name of a topic or a group. */
export function resourceOf(name: string): Resource {
  return new definitions.Resource().setName(name);
}

/** `host:port` of a proxy. */
export function endpointsOf(address: string): Endpoints {
  const [host, port] = address.split(':') as [string, string];
  const { IPV4, DOMAIN_NAME } = definitions.AddressScheme;
  const endpoints = new definitions.Endpoints().setScheme(/^[\d.]+$/.test(host) ? IPV4 : DOMAIN_NAME);
  endpoints.addAddresses().setHost(host).setPort(Number(port));
  return endpoints;
}

/** The filter that lets every message pass. */
export function everything(): FilterExpression {
  return new definitions.FilterExpression().setType(definitions.FilterType.TAG).setExpression('*');
}

function write(time: Time, ms: number): Time {
  return time.setSeconds(Math.floor(ms / 1_000)).setNanos((ms % 1_000) * 1_000_000);
}

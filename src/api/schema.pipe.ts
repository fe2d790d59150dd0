import { Injectable, type ArgumentMetadata, type PipeTransform } from '@nestjs/common';
import { ProblemError, type Fault } from './problems.js';

/** The longest list of faults in one answer: a body may hold thousands. */
const MAX_FAULTS = 20;

/** What is wrong with a value, as a schema says it. */
export type Issues = readonly {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[];
  /** Zod's own: the members that a strict object does not have. */
  readonly keys?: readonly string[];
}[];

/** Validates what a parameter's decorator names a schema for, and hands on what the schema makes of it. */
@Injectable()
export class SchemaPipe implements PipeTransform {
  /** @throws ProblemError `invalid-request` that lists what is wrong, and where */
  async transform(value: unknown, { schema, type }: ArgumentMetadata): Promise<unknown> {
    if (!schema) return value;
    const result = await schema['~standard'].validate(value);
    if (!result.issues) return result.value;
    throw invalidRequest(result.issues as Issues, type === 'query' ? 'query' : 'body');
  }
}

/** The answer to a request that breaks its schema. */
export function invalidRequest(issues: Issues, where: 'body' | 'query'): ProblemError {
  const errors = issues.flatMap((issue) => faultsOf(issue, where === 'query')).slice(0, MAX_FAULTS);
  return new ProblemError('invalid-request', `the ${where} is not as documented`, { errors });
}

function faultsOf({ message, path = [], keys }: Issues[number], isQuery: boolean): readonly Fault[] {
  const names = path.map((segment) => String(typeof segment === 'object' ? segment.key : segment));
  const at = (all: readonly string[], detail: string): Fault =>
    isQuery ? { parameter: all.join('.'), detail } : { pointer: pointerTo(all), detail };
  if (!keys) return [at(names, message)];
  return keys.map((key) => at([...names, key.slice(0, 100)], isQuery ? 'is not a parameter' : 'is not a member'));
}

/** RFC 6901; the root is the empty pointer. */
function pointerTo(names: readonly string[]): string {
  return names.map((name) => `/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}

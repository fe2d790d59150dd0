import { z } from 'zod';

/**
 * What keeps a value from conforming to a schema of an OpenAPI 3.1 document.
 *
 * @param document where its references lead
 */
export function conformsTo(schema: object, value: unknown, document: { components: Record<string, object> }): string[] {
  const inlined = inline(schema, document.components['schemas'] as Record<string, object>);
  const parsed = z.fromJSONSchema(inlined as Parameters<typeof z.fromJSONSchema>[0]).safeParse(value);
  return parsed.success ? [] : parsed.error.issues.map(({ path, message }) => `/${path.join('/')}: ${message}`);
}

function inline(schema: unknown, schemas: Record<string, object>): unknown {
  if (Array.isArray(schema)) return schema.map((member) => inline(member, schemas));
  if (typeof schema !== 'object' || schema === null) return schema;
  if ('$ref' in schema) return inline(schemas[String(schema.$ref).split('/').at(-1)!], schemas);
  return Object.fromEntries(Object.entries(schema).map(([name, member]) => [name, inline(member, schemas)]));
}

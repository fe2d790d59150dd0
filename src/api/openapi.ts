import { AWAITED_EVENT_OPERATIONS } from './awaited-event-operations.js';
import { OPERATIONS, type Answer, type Operation, type Parameter } from './operations.js';
import { OPERATOR_OPERATIONS } from './operator-operations.js';
import { OPERATOR_COMPONENTS } from './operator-schemas.js';
import { REPAIR_COMPONENTS } from './repair-schemas.js';
import { days, type Windows } from '../saga/windows.js';
import { PROBLEM_TYPE, PROBLEMS, type ProblemName } from './problems.js';
import { jsonSchemas, type ComponentName } from './schemas.js';

/** An OpenAPI 3.1 document, as far as its parts are read here. */
export interface OpenApiDocument {
  readonly openapi: string;
  readonly info: Readonly<Record<string, unknown>>;
  readonly paths: Readonly<Record<string, Readonly<Record<string, object>>>>;
  readonly components: Readonly<Record<string, object>>;
}

/**
 * The document, from the schemas that validate and the list of operations. Built here rather than from the decorators of
 * @nestjs/swagger: those translate to OpenAPI 3.0's dialect, and need type metadata that not every compiler emits.
 */
export function openApiDocument({ keyMs }: Pick<Windows, 'keyMs'>): OpenApiDocument {
  const paths: Record<string, Record<string, object>> = {};
  for (const operation of [...OPERATIONS, ...AWAITED_EVENT_OPERATIONS, ...OPERATOR_OPERATIONS]) {
    const path = (paths[operation.path] ??= {});
    path[operation.method] = describe(operation);
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Settle',
      version: '1',
      description:
        'Orders, payments and registrations that happen in every service or are undone in every service. ' +
        `An \`Idempotency-Key\` stands for its request for ${days(keyMs)}; after that it is free again.`,
    },
    paths,
    components: {
      schemas: jsonSchemas({ ...OPERATOR_COMPONENTS, ...REPAIR_COMPONENTS }),
      securitySchemes: {
        apiKey: { type: 'http', scheme: 'bearer', description: 'Needed when the installation has API keys.' },
      },
    },
  };
}

function describe(operation: Operation): object {
  const { id, summary, body, answers, problems, parameters = [] } = operation;
  const isPublic = !operation.path.startsWith('/v1/');
  return {
    operationId: id,
    summary,
    tags: [operation.tag],
    security: isPublic ? [] : [{ apiKey: [] }, {}],
    parameters: parameters.map(parameterOf),
    ...(body && {
      requestBody: { required: body.required, content: { 'application/json': { schema: ref(body.schema) } } },
    }),
    responses: {
      ...Object.fromEntries(answers.map((answer) => [answer.status, answerOf(answer)])),
      ...problemAnswers(problems),
    },
  };
}

function parameterOf({ name, place, required = false, description, schema }: Parameter): object {
  return { name, in: place, required: place === 'path' || required, description, schema };
}

function answerOf({ description, schema, mediaType = 'application/json', headers = {} }: Answer): object {
  const described = Object.entries(headers).map(([name, text]) => [
    name,
    { description: text, schema: { type: 'string' } },
  ]);
  const content = typeof schema === 'string' ? ref(schema) : schema;
  return {
    description,
    headers: Object.fromEntries(described) as object,
    ...(content && { content: { [mediaType]: { schema: content } } }),
  };
}

/** One answer a status: several problems may share it, and `type` tells them apart. */
function problemAnswers(names: readonly ProblemName[]): Record<string, object> {
  const answers: Record<string, object> = {};
  for (const status of new Set(names.map((name) => PROBLEMS[name].status))) {
    const ofStatus = names.filter((name) => PROBLEMS[name].status === status);
    const type = { type: 'string', enum: ofStatus.map((name) => `/problems/${name}`) };
    answers[status] = {
      description: ofStatus.map((name) => `\`/problems/${name}\`: ${PROBLEMS[name].title}.`).join('\n\n'),
      headers: problemHeaders(status),
      content: { [PROBLEM_TYPE]: { schema: { allOf: [ref('Problem'), { type: 'object', properties: { type } }] } } },
    };
  }
  return answers;
}

function problemHeaders(status: number): object {
  const schema = { type: 'string' };
  if (status === 503) return { 'Retry-After': { description: 'Seconds.', schema } };
  if (status === 405) return { Allow: { description: 'The methods there are.', schema } };
  if (status === 401) return { 'WWW-Authenticate': { description: 'Always `Bearer`.', schema } };
  return {};
}

function ref(name: ComponentName): object {
  return { $ref: `#/components/schemas/${name}` };
}

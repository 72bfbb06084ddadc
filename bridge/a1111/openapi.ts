import { z } from 'zod';
import { EASEL_VERSION } from '../../protocol/version.ts';
import { EXAMPLES } from './examples.ts';
import { OPERATIONS, type Operation } from './operations.ts';
import * as replies from './response-schemas.ts';
import * as requests from './schemas.ts';
import * as sharkRequests from './shark-schemas.ts';

type Json = Record<string, unknown>;

function componentId(schema: z.ZodType): string | undefined {
  return z.globalRegistry.get(schema)?.id;
}

/** The named schemas among `exports` as components. `io` is the side of the wire they stand for. */
function components(exports: Readonly<Record<string, unknown>>, io: 'input' | 'output'): Json {
  const registry = z.registry<{ id?: string | undefined }>();
  for (const schema of Object.values(exports)) {
    const id = schema instanceof z.ZodType ? componentId(schema) : undefined;
    if (id !== undefined) registry.add(schema as z.ZodType, { id });
  }
  const { schemas: found } = z.toJSONSchema(registry, { ...JSON_SCHEMA, io });
  return Object.fromEntries(Object.entries(found).map(([id, schema]) => [id, tidy(schema)]));
}

const JSON_SCHEMA = {
  target: 'openapi-3.0',
  unrepresentable: 'any',
  uri: (id: string) => `#/components/schemas/${id}`,
  // zod leaves defaults out of the input side where a field is read leniently.
  override({ zodSchema, jsonSchema }: { zodSchema: z.core.$ZodTypes; jsonSchema: Json }) {
    if (zodSchema instanceof z.ZodDefault) jsonSchema.default = zodSchema.def.defaultValue;
  },
} as const;

/** Drops the keys that JSON Schema has and OpenAPI 3.0 does not. */
function tidy(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(tidy);
  if (typeof value !== 'object' || value === null) return value;
  const kept = Object.entries(value).filter(([key]) => !['$id', '$schema', 'id'].includes(key));
  return Object.fromEntries(kept.map(([key, entry]) => [key, tidy(entry)]));
}

/** A schema where it is used: a reference if it has a name, else itself with references inside. */
function schemaOf(schema: z.ZodType, io: 'input' | 'output'): unknown {
  const id = componentId(schema);
  if (id !== undefined) return { $ref: `#/components/schemas/${id}` };
  if (schema instanceof z.ZodArray) {
    return { type: 'array', items: schemaOf(schema.element as z.ZodType, io) };
  }
  return tidy(z.toJSONSchema(schema, { ...JSON_SCHEMA, io }));
}

function jsonContent(description: string, schema: unknown): Json {
  return { description, content: { 'application/json': { schema } } };
}

function errorContent(description: string): Json {
  return jsonContent(description, schemaOf(replies.errorResponse, 'output'));
}

function responsesOf(operation: Operation): Json {
  const { response, request, isGeneration, isPartial, notFound } = operation;
  const responses: Json = {};
  if (response) responses['200'] = jsonContent('Success', schemaOf(response, 'output'));
  if (!response || isPartial) responses['501'] = errorContent('Not here; the body says why');
  responses['415'] = errorContent('A body that is no JSON');
  if (request) {
    responses['400'] = errorContent('A body that is no text');
    responses['422'] = jsonContent('Refused', schemaOf(replies.unprocessable, 'output'));
  }
  if (notFound) responses['404'] = errorContent(notFound);
  if (isGeneration) {
    responses['503'] = errorContent('No engine, or too many jobs; see Retry-After');
  }
  return responses;
}

function describe(operation: Operation): Json {
  const { method, path, summary, request, query = [] } = operation;
  const name = path.replace(/^\//, '').replace(/\W+/g, '_');
  return {
    summary,
    operationId: `${name}_${method.toLowerCase()}`,
    ...(query.length > 0
      ? {
          parameters: query.map((parameter) => ({
            ...parameter,
            in: 'query',
            required: false,
            schema: { type: 'boolean' },
          })),
        }
      : {}),
    ...(request
      ? {
          requestBody: {
            required: true,
            content: {
              'application/json': {
                schema: schemaOf(request, 'input'),
                ...(EXAMPLES[path] ? { example: EXAMPLES[path] } : {}),
              },
            },
          },
        }
      : {}),
    responses: responsesOf(operation),
  };
}

/** The OpenAPI 3.0 document of A1111's routes, component names as A1111's own. */
export function createOpenApiDocument() {
  const paths: Record<string, Record<string, Json>> = {};
  for (const operation of OPERATIONS) {
    const item = paths[operation.path] ?? {};
    item[operation.method.toLowerCase()] = describe(operation);
    paths[operation.path] = item;
  }
  return {
    openapi: '3.0.3',
    info: {
      title: 'Easel',
      version: EASEL_VERSION,
      description: 'The API of AUTOMATIC1111’s stable-diffusion-webui, served by a browser tab.',
    },
    paths,
    components: {
      schemas: {
        ...components(requests, 'input'),
        ...components(sharkRequests, 'input'),
        ...components(replies, 'output'),
      },
    },
  };
}

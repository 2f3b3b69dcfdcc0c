/** The routes of docs/api.md, from the API's own description: a table a noun. Pure. */
import { cell, table } from '../../platform/markdown.ts';

export const ROUTE_MARKERS = [
  '<!-- routes: made by `npm run docs` -->',
  '<!-- routes: end -->',
] as const satisfies [string, string];

interface Schema {
  $ref?: string;
  type?: string;
  description?: string;
  properties?: Record<string, Schema>;
  required?: readonly string[];
  items?: Schema;
  anyOf?: readonly Schema[];
  const?: unknown;
  enum?: readonly unknown[];
  default?: unknown;
}
type Content = Record<string, { schema?: Schema }>;
interface Route {
  summary: string;
  description?: string;
  tags: readonly string[];
  parameters?: readonly {
    name: string;
    in: string;
    required: boolean;
    description?: string;
    schema: Schema;
  }[];
  requestBody?: { content: Content };
  responses: Record<string, { description: string; content?: Content }>;
}
export interface ApiDescription {
  paths: Record<string, Record<string, Route>>;
}

export function routeTables({ paths }: ApiDescription): string {
  const routes = Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, route]) => ({ method: method.toUpperCase(), path, route })),
  );
  const nouns = Map.groupBy(routes, ({ route }) => route.tags[0] ?? '');
  return [...nouns]
    .map(([noun, own]) => {
      const lines = own.map(({ method, path, route }) => [
        `\`${method} ${path.replaceAll(/\{(\w+)\}/g, ':$1')}\``,
        cell([route.summary, route.description].filter(Boolean).join('. ')),
        cell(parametersOf(route)),
        cell(bodyOf(route)),
        cell(answersOf(route)),
      ]);
      return `**${noun}**\n\n${table(['route', 'what it does', 'query', 'body', 'answers'], lines)}\n`;
    })
    .join('\n');
}

function parametersOf({ parameters = [] }: Route): string {
  return parameters
    .filter((parameter) => parameter.in === 'query')
    .map(({ name, required, schema }) => `\`${name}${required ? '' : '?'}\`${defaultOf(schema)}`)
    .join(', ');
}

const defaultOf = (schema: Schema): string =>
  schema.default === undefined ? '' : ` (${JSON.stringify(schema.default)})`;

function bodyOf({ requestBody }: Route): string {
  const [type = '', { schema = {} } = {}] = Object.entries(requestBody?.content ?? {})[0] ?? [];
  if (type === '') return '';
  return type === 'application/json' ? fieldsOf(schema) : `\`${type}\``;
}

function fieldsOf({ properties = {}, required = [] }: Schema): string {
  return Object.keys(properties)
    .map((name) => `\`${name}${required.includes(name) ? '' : '?'}\``)
    .join(', ');
}

function answersOf({ responses }: Route): string {
  return Object.entries(responses)
    .filter(([status]) => /^[123]\d\d$/.test(status))
    .map(([status, { content = {} }]) => {
      const [type, { schema = {} } = {}] = Object.entries(content)[0] ?? [];
      if (type === undefined) return status;
      return `${status} ${type === 'application/json' ? kindOf(schema) : `\`${type}\``}`;
    })
    .join(', ');
}

/** What an answer is, in a word: `Container`, `[Guest]`, a page of them, or its fields. */
function kindOf(schema: Schema): string {
  if (schema.$ref !== undefined) return schema.$ref.split('/').at(-1) ?? '';
  if (schema.items !== undefined) return `list: ${kindOf(schema.items)}`;
  const { items, next } = schema.properties ?? {};
  if (items?.items !== undefined && next !== undefined) return `page: ${kindOf(items.items)}`;
  return fieldsOf(schema);
}

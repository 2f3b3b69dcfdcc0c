/** The calls of docs/api.md that an agent takes, from the schemas that both ends check with. Pure. */
import type { TSchema } from 'typebox';
import { agentCalls } from '../../interconnect/agent-api.ts';
import { cell, table } from '../../platform/markdown.ts';

export const AGENT_MARKERS = [
  "<!-- agent's calls: made by `npm run docs` -->",
  "<!-- agent's calls: end -->",
] as const satisfies [string, string];

interface Call {
  method: string;
  path: string;
  body?: TSchema;
  response?: TSchema;
}

export function agentCallTable(): string {
  const lines = Object.values(agentCalls as Record<string, Call>).map(({ method, path, body, response }) => [
    `\`${method} ${path}\``,
    cell(fieldsOf(body)),
    cell(fieldsOf(response)),
  ]);
  return table(['call', 'body', 'answer'], lines);
}

interface Fields {
  items?: TSchema;
  properties?: Record<string, TSchema>;
  required?: readonly string[];
}

function fieldsOf(schema: TSchema | undefined): string {
  const { items, properties = {}, required = [] } = (schema ?? {}) as Fields;
  if (items !== undefined) return `list of: ${fieldsOf(items)}`;
  return Object.keys(properties)
    .map((name) => `\`${name}${required.includes(name) ? '' : '?'}\``)
    .join(', ');
}

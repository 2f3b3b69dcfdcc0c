/** What has a default need not be sent: a description for clients says so, where a schema for answers does not. */

interface Schema {
  default?: unknown;
  properties?: Record<string, Schema>;
  required?: string[];
}
interface Route {
  parameters?: { required: boolean; schema: Schema }[];
  requestBody?: { content: Record<string, { schema?: Schema }> };
}

/** Changes the description that it is given. */
export function relaxDefaults(description: object): void {
  const { paths = {} } = description as { paths?: Record<string, Record<string, Route>> };
  for (const { parameters = [], requestBody } of Object.values(paths).flatMap(Object.values<Route>)) {
    for (const parameter of parameters) {
      if (parameter.schema.default !== undefined) parameter.required = false;
    }
    for (const { schema } of Object.values(requestBody?.content ?? {})) if (schema) relax(schema);
  }
}

function relax(schema: Schema): void {
  const { properties = {}, required } = schema;
  if (required) schema.required = required.filter((name) => properties[name]?.default === undefined);
}

/** The OCI process of an exec: the container's own, with what was asked for in its place. */
import type { ExecSpec } from '../../interconnect/exec-api.ts';
import type { OciUser } from '../users.ts';

/** What is read of the container's config.json. */
export interface OciProcess {
  user: OciUser;
  env: string[];
  cwd: string;
  args: string[];
}

export function execProcess(container: OciProcess, spec: ExecSpec, user: OciUser): object {
  const { columns, rows } = spec;
  const hasSize = spec.terminal && columns !== undefined && rows !== undefined;
  const { consoleSize, ...own } = container as OciProcess & { consoleSize?: unknown };
  return {
    ...own,
    terminal: spec.terminal,
    ...(hasSize ? { consoleSize: { width: columns, height: rows } } : {}),
    user,
    args: spec.command,
    env: mergeEnv(container.env, spec.terminal ? ['TERM=xterm', ...spec.env] : spec.env),
    cwd: spec.workingDir ?? container.cwd,
  };
}

/** A later variable takes the place of an earlier one of its name. */
function mergeEnv(base: readonly string[], wanted: readonly string[]): string[] {
  const byName = new Map([...base, ...wanted].map((variable) => [variable.split('=', 1)[0], variable]));
  return [...byName.values()];
}

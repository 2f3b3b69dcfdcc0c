/** The OCI process of an exec: the container's own, with what was asked for in its place. */
import type { ExecSpec } from '../../interconnect/exec-api.ts';
import { OffloadError } from '../../platform/errors.ts';

export interface OciUser {
  uid: number;
  gid: number;
}

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

/** Whether a name of the container's files is needed to know the user. */
export const isNumericUser = (user: string): boolean => /^\d{1,10}(:\d{1,10})?$/.test(user);

/**
 * `uid`, `uid:gid`, `name`, `name:group`, by the container's own files. A uid without an entry has group 0.
 * @throws {OffloadError} invalid_request for a name that is in neither
 */
export function resolveUser(user: string, passwd: string, group: string): OciUser {
  const [wantedUser = '', wantedGroup] = user.split(':');
  const entry = entriesOf(passwd).find(([name, , uid]) =>
    /^\d+$/.test(wantedUser) ? uid === wantedUser : name === wantedUser,
  );
  if (!entry && !/^\d+$/.test(wantedUser)) {
    throw new OffloadError('invalid_request', `exec as ${user}: the container has no such user`);
  }
  return {
    uid: idOf(entry?.[2] ?? wantedUser, user),
    gid: wantedGroup === undefined ? idOf(entry?.[3] ?? '0', user) : groupOf(wantedGroup, group, user),
  };
}

function groupOf(wanted: string, group: string, user: string): number {
  if (/^\d+$/.test(wanted)) return idOf(wanted, user);
  const entry = entriesOf(group).find(([name]) => name === wanted);
  if (!entry) throw new OffloadError('invalid_request', `exec as ${user}: the container has no such group`);
  return idOf(entry[2] ?? '', user);
}

const entriesOf = (text: string) => text.split('\n').map((line) => line.split(':'));

function idOf(text: string, user: string): number {
  const id = Number(text);
  if (/^\d{1,10}$/.test(text) && id <= 0xfffffffe) return id;
  throw new OffloadError(
    'invalid_request',
    `exec as ${user}: ${JSON.stringify(text)} is no number of a user`,
  );
}

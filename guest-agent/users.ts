/** Who a program runs as, by the /etc/passwd and /etc/group of the root filesystem that it runs in. */
import { OffloadError } from '../platform/errors.ts';

export interface OciUser {
  uid: number;
  gid: number;
}

/** Two numbers need no look into a file; of one alone the group is not known. */
const isNumericUser = (user: string): boolean => /^\d{1,10}:\d{1,10}$/.test(user);

/** Reads /etc/passwd or /etc/group; one that is not there is empty. */
export type ReadUserFile = (path: string) => Promise<string>;

/**
 * `uid`, `uid:gid`, `name`, `name:group`. A uid without an entry has group 0.
 * @param operation for messages: `create container web`
 * @throws {OffloadError} invalid_request for a name that is in neither file
 */
export async function findUser(user: string, operation: string, read: ReadUserFile): Promise<OciUser> {
  if (isNumericUser(user)) return resolveUser(user, operation, '', '');
  const [passwd, group] = await Promise.all([read('/etc/passwd'), read('/etc/group')]);
  return resolveUser(user, operation, passwd, group);
}

export function resolveUser(user: string, operation: string, passwd: string, group: string): OciUser {
  const what = `${operation} as ${user}`;
  const [wantedUser = '', wantedGroup] = user.split(':');
  const entry = entriesOf(passwd).find(([name, , uid]) =>
    isNumber(wantedUser) ? uid === wantedUser : name === wantedUser,
  );
  if (!entry && !isNumber(wantedUser)) {
    throw new OffloadError('invalid_request', `${what}: the container has no such user`);
  }
  return {
    uid: idOf(entry?.[2] ?? wantedUser, what),
    gid: wantedGroup === undefined ? idOf(entry?.[3] ?? '0', what) : groupOf(wantedGroup, group, what),
  };
}

function groupOf(wanted: string, group: string, what: string): number {
  if (isNumber(wanted)) return idOf(wanted, what);
  const entry = entriesOf(group).find(([name]) => name === wanted);
  if (!entry) throw new OffloadError('invalid_request', `${what}: the container has no such group`);
  return idOf(entry[2] ?? '', what);
}

const isNumber = (text: string) => /^\d+$/.test(text);

/** Root is the same in every image, also in one without these files. */
const ROOT = ['root', 'x', '0', '0'];
const entriesOf = (text: string) => [...text.split('\n').map((line) => line.split(':')), ROOT];

function idOf(text: string, what: string): number {
  const id = Number(text);
  if (/^\d{1,10}$/.test(text) && id <= 0xfffffffe) return id;
  throw new OffloadError('invalid_request', `${what}: ${JSON.stringify(text)} is no number of a user`);
}

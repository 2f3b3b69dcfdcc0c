/** Every file operation of the store goes through this, so that tests can let each of them fail in turn. */
import * as files from 'node:fs/promises';

export type StoreFileSystem = Pick<
  typeof files,
  'link' | 'mkdir' | 'open' | 'readdir' | 'readFile' | 'rename' | 'rm' | 'stat' | 'statfs' | 'utimes'
>;

export const realFileSystem: StoreFileSystem = files;

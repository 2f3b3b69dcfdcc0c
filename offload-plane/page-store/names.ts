/** Names that become paths: checked before they touch the file system. */
import { OffloadError } from '../../platform/errors.ts';

/** 1 to 128 characters, no slash, no leading dot: a plain file name on every file system. */
const PLAIN_NAME = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;

export const CHECKPOINTS = 'checkpoints';
export const INCOMING = 'incoming';
export const MANIFEST = 'manifest.json';
export const PAGES = 'pages';
export const INDEX = 'index';
export const CHECKSUMS = 'checksums';
export const ROOTFS_DIFF = 'rootfs-diff.tar';
export const ORDER = 'order';
export const WORKING_SET = 'working-set';
export const IMAGES = 'images';
/** Another name of the pages file of another checkpoint: its bytes stay as long as one name is left. */
export const sharedName = (file: number): string => (file === 0 ? PAGES : `shared-${file}`);
/** An empty file: this checkpoint is not evicted. */
export const PINNED = 'pinned';

/** @throws {OffloadError} invalid_request */
export function assertCheckpointId(operation: string, id: string): void {
  if (PLAIN_NAME.test(id)) return;
  throw new OffloadError(
    'invalid_request',
    `${operation}: checkpoint id ${JSON.stringify(id.slice(0, 64))} is no plain name of 1 to 128 characters`,
  );
}

/** @throws {OffloadError} invalid_request */
export function assertTenant(operation: string, tenant: string): void {
  if (PLAIN_NAME.test(tenant)) return;
  throw new OffloadError(
    'invalid_request',
    `${operation}: tenant ${JSON.stringify(tenant.slice(0, 64))} is no plain name of 1 to 128 characters`,
  );
}

/** @throws {OffloadError} invalid_request */
export function assertImageName(operation: string, name: string): void {
  if (PLAIN_NAME.test(name)) return;
  throw new OffloadError(
    'invalid_request',
    `${operation}: image name ${JSON.stringify(name.slice(0, 64))} is no plain name of 1 to 128 characters`,
  );
}

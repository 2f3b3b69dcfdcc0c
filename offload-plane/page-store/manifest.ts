/** manifest.json: says that a checkpoint is whole, and what belongs to it. */
import { createHash } from 'node:crypto';
import { OffloadError } from '../../platform/errors.ts';
import type { CheckpointManifest, StoredFile } from './contract.ts';

export const FORMAT_VERSION = 2;
/** A manifest names files and carries the caller's meta; more than this is damage. */
export const MAX_MANIFEST_BYTES = 4 * 1024 * 1024;

/** The manifest and, as its last field, the sha256 of everything before: a recipe has to be whole as well. */
export function encodeManifest(manifest: CheckpointManifest): string {
  return `${JSON.stringify({ ...manifest, sha256: sha256Of(manifest) }, null, 2)}\n`;
}

const sha256Of = (manifest: object): string =>
  createHash('sha256').update(JSON.stringify(manifest)).digest('hex');

/**
 * Reads a manifest strictly. The version is looked at first: of another version nothing else is known.
 * @throws {OffloadError} invalid_state (unknown version, by name), incomplete_checkpoint (unreadable)
 */
export function decodeManifest(text: string, id: string): CheckpointManifest {
  const { sha256, ...value } = parse(text, id);
  if (value.formatVersion !== FORMAT_VERSION) {
    throw new OffloadError(
      'invalid_state',
      `page store open ${id}: checkpoint has format version ${String(value.formatVersion)}, this program knows version ${FORMAT_VERSION}`,
    );
  }
  if (sha256 !== sha256Of(value) || !isManifest(value) || value.id !== id) {
    throw new OffloadError('incomplete_checkpoint', `page store open ${id}: manifest.json is damaged`);
  }
  return value;
}

function parse(text: string, id: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch {
    // told below
  }
  throw new OffloadError('incomplete_checkpoint', `page store open ${id}: manifest.json is damaged`);
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

function isFile({ bytes, sha256 }: StoredFile): boolean {
  return isCount(bytes) && (sha256 === undefined || /^[0-9a-f]{64}$/.test(sha256));
}

function isManifest(value: unknown): value is CheckpointManifest {
  const m = value as CheckpointManifest;
  return (
    typeof m.id === 'string' &&
    typeof m.createdAt === 'string' &&
    isCount(m.pageCount) &&
    isCount(m.zeroPageCount) &&
    isCount(m.sharedPageCount) &&
    isCount(m.storedBytes) &&
    (m.tenant === undefined || typeof m.tenant === 'string') &&
    (m.parent === undefined || typeof m.parent === 'string') &&
    /^[0-9a-f]{64}$/.test(m.digest) &&
    typeof m.meta === 'object' &&
    m.meta !== null &&
    typeof m.files === 'object' &&
    m.files !== null &&
    Object.values(m.files).every(isFile)
  );
}

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { inetSocket } from '../../../offload-plane/checkpoints/contents/sockets.ts';
import { withBytes, withUint32List } from '../../../offload-plane/criu-images/edit.ts';
import {
  imageEntries,
  readImageFile,
  readOnly,
  writeImageFile,
} from '../../../offload-plane/criu-images/image-file.ts';
import { FileEntry, UtsEntry } from '../../../offload-plane/criu-images/messages.ts';
import { bytes, decodeMessage } from '../../../offload-plane/criu-images/wire.ts';
import { withNewIdentity } from '../../../offload-plane/restores/new-identity.ts';
import { OffloadError } from '../../../platform/errors.ts';
import { goldenImages } from '../../helpers/criu-checkpoint.ts';

const IDENTITY = { hostname: 'clone-7', oldAddress: '10.88.0.2/16', newAddress: '10.88.1.3/16' };
const IMAGES = goldenImages();
const FILES = IMAGES.get('files.img')!;
const INET_FIELD = 4;
const SOURCE = 11;
/** 10.88.0.2 and 10.88.0.20 as CRIU keeps them, alone and within IPv6. */
const OWN = 0x0200580a;
const OTHER = 0x1400580a;
const MAPPED = [0, 0, 0xffff0000, OWN];

/** Redis' two listening sockets, bound to these. */
function boundTo(ipv4: readonly number[], ipv6: readonly number[]): Buffer {
  const entries = imageEntries('files.img', 'files', FILES).map((entry) => {
    const { inet } = decodeMessage({ inet: FileEntry.inet }, entry);
    if (inet === undefined) return entry;
    const { socket } = decodeMessage({ socket: bytes(INET_FIELD) }, entry);
    return withBytes(entry, INET_FIELD, withUint32List(socket, SOURCE, inet.family === 2 ? ipv4 : ipv6));
  });
  return writeImageFile('files', entries);
}

const localAddresses = (image: Buffer) =>
  readImageFile('files.img', 'files', FileEntry, image).flatMap(({ inet }) =>
    inet ? [inetSocket(inet).local] : [],
  );

test('a clone has its own name in its UTS namespace', () => {
  const image = withNewIdentity('utsns-12.img', IMAGES.get('utsns-12.img')!, IDENTITY);
  assert.equal(readOnly('utsns-12.img', 'utsns', UtsEntry, image), {
    nodeName: 'clone-7',
    domainName: '(none)',
  });
});

test('sockets of the old address are bound to the new one, within IPv6 too', () => {
  const image = boundTo([OWN], MAPPED);
  assert.equal(localAddresses(image), ['10.88.0.2:6379', '[::ffff:a58:2]:6379']);
  assert.equal(localAddresses(withNewIdentity('files.img', image, IDENTITY)), [
    '10.88.1.3:6379',
    '[::ffff:a58:103]:6379',
  ]);
});

test('sockets of every address and of others, and whatever else is in an image, stay as they are', () => {
  assert.equal(withNewIdentity('files.img', FILES, IDENTITY), FILES);
  const others = boundTo([OTHER], [OWN, 0, 0, 0]);
  assert.equal(withNewIdentity('files.img', others, IDENTITY), others);
  for (const [name, image] of IMAGES) {
    if (!name.startsWith('utsns'))
      assert.is(withNewIdentity(name, image, IDENTITY).equals(image), true, name);
  }
});

test('only the address changes in the entry of a socket', () => {
  const changed = withNewIdentity('files.img', boundTo([OWN], MAPPED), IDENTITY);
  const [before, after] = [FILES, changed].map((image) =>
    readImageFile('files.img', 'files', FileEntry, image),
  );
  const unbound = (entries: typeof before) =>
    entries!.map(({ inet, ...rest }) => ({ ...rest, inet: inet && { ...inet, source: [] } }));
  assert.equal(unbound(after), unbound(before));
});

test('a damaged image is refused by name', () => {
  const cut = FILES.subarray(0, 40);
  assert.throws(
    () => withNewIdentity('files.img', cut, IDENTITY),
    (error: unknown) =>
      error instanceof OffloadError &&
      error.code === 'invalid_checkpoint' &&
      /files\.img/.test(error.message),
  );
});

test.run();

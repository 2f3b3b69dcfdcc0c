import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { imageRows, pruneText, volumeRows } from '../../../offload-plane/cli/image-rows.ts';
import { parseBytes, parseVolume } from '../../../offload-plane/cli/options.ts';
import type { ImageView } from '../../../offload-plane/http-api/schemas/images.ts';

const NOW_MS = Date.parse('2026-01-02T05:30:00.000Z');

const image = (names: string[], repoDigests: string[] = []) =>
  ({
    names,
    repoDigests,
    digest: `sha256:${'ab'.repeat(32)}`,
    createdAt: '2026-01-02T03:04:05.678Z',
    rootfsBytes: 3_500_000,
  }) as unknown as ImageView;

test('an image has a row a name, its tag apart, and one where it has none', () => {
  const rows = imageRows(
    [
      image(['redis', 'host:5000/demo/redis:7', 'host:5000/app']),
      image([], ['host:5000/app@sha256:1']),
      image([]),
    ],
    NOW_MS,
  );
  assert.equal(
    rows.map((row) => Object.values(row).slice(0, 2)),
    [
      ['redis', 'latest'],
      ['host:5000/demo/redis', '7'],
      ['host:5000/app', 'latest'],
      ['host:5000/app', '<none>'],
      ['<none>', '<none>'],
    ],
  );
  assert.equal(Object.values(rows[0]!).slice(2), ['abababababab', '2 hours ago', '3.34MiB']);
});

test('a volume has a row with its guest and its containers', () => {
  const volume = {
    name: 'data',
    sizeBytes: 2 ** 30,
    usedBytes: 0,
    reserved: false,
    createdAt: '2026-01-02T03:04:05.678Z',
    path: '/x',
    usedBy: ['web', 'db'],
    guest: 'guest-a',
  };
  assert.equal(volumeRows([volume], NOW_MS), [
    {
      name: 'data',
      size: '1GiB',
      used: '0B',
      created: '2 hours ago',
      guest: 'guest-a',
      'used by': 'web, db',
    },
  ]);
  assert.is(pruneText({ removed: ['a', 'b'], freedBytes: 1_572_864 }), 'a\nb\nfreed 1.5MiB\n');
});

test('sizes are bytes, or multiples of 1024', () => {
  assert.equal(['1', '2k', '3M', '4GiB', '1tb'].map(parseBytes), [
    1,
    2_048,
    3 * 2 ** 20,
    4 * 2 ** 30,
    2 ** 40,
  ]);
  for (const text of ['', '0', '-1', '1.5g', 'g', '1x', '99999999999t']) {
    assert.throws(() => parseBytes(text), /expected a number of bytes/);
  }
});

test('a volume of a container is a name and a place, and no path of the plane’s', () => {
  const volumes = parseVolume('logs:/var/log:ro', parseVolume('data:/data'));
  assert.equal(volumes, [
    { name: 'data', destination: '/data', readOnly: false },
    { name: 'logs', destination: '/var/log', readOnly: true },
  ]);
  for (const text of ['/srv:/data', './x:/data', 'data', 'data:data', 'data:/a:rx', ':/a']) {
    assert.throws(() => parseVolume(text), /expected volume:/);
  }
});

test.run();

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { parseAptSources, pickDebianMirror } from '../../../testbed/setup/apt-sources.ts';

const pick = (path: string, text: string, codename = 'bookworm') =>
  pickDebianMirror(parseAptSources([{ path, text }]), codename);

const deb822 = `# a comment
Types: deb deb-src
URIs: http://mirror.example/debian/
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://security.example/debian-security
Suites: bookworm-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
`;

test('the mirror and the security mirror are read from deb822 sources', () => {
  assert.equal(pick('debian.sources', deb822), {
    archiveUri: 'http://mirror.example/debian',
    securityUri: 'http://security.example/debian-security',
    codename: 'bookworm',
  });
});

test('the mirror is read from one-line entries with and without options', () => {
  const text = [
    '# deb http://commented.example/debian bookworm main',
    'deb cdrom:[Debian]/ bookworm main',
    'deb [arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://a.example/debian bookworm main # why',
    'deb-src http://b.example/debian bookworm main',
    'deb http://c.example/debian-security bookworm-security main contrib',
  ].join('\n');
  assert.equal(pick('sources.list', text), {
    archiveUri: 'http://a.example/debian',
    securityUri: 'http://c.example/debian-security',
    codename: 'bookworm',
  });
});

test("other people's archives that use Debian's codename are passed over", () => {
  const text = [
    'deb [signed-by=/etc/apt/keyrings/other.asc] http://other.example/linux/debian bookworm main',
    'deb http://unsigned.example/packages bookworm main',
    'deb http://mirror.example/debian bookworm main',
  ].join('\n');
  assert.is(pick('sources.list', text).archiveUri, 'http://mirror.example/debian');
});

test('a disabled stanza and an embedded key of a third party count for nothing', () => {
  const text = `Enabled: no
Types: deb
URIs: http://disabled.example/debian
Suites: bookworm
Components: main

Types: deb
URIs: http://other.example/debian
Suites: bookworm
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mDMEYCQjIxYJKwYBBAHaRw8BAQdAD/P5Nvvnvk66SxBBHDbhRml9ORg1WV5CvzKY
 -----END PGP PUBLIC KEY BLOCK-----
`;
  assert.throws(() => pick('x.sources', text), /no entry for Debian bookworm main/);
});

test('a machine without Debian sources gets one clear line', () => {
  assert.throws(
    () => pick('sources.list', 'deb http://u.example/ubuntu noble main'),
    /apt sources: no entry/,
  );
});

test.run();

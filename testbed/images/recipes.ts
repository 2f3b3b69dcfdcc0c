/** What the demo's images consist of, as data: the cache's key is made from it. */

export interface ImageRecipe {
  name: string;
  /** Programs of the Debian tree; the libraries they need come with them. */
  programs: string[];
  /** Files from elsewhere, by their place in the image. `libraries`: whatever shared libraries it needs come too. */
  files: { target: string; source: string; mode: number; libraries?: boolean }[];
  texts: { target: string; text: string }[];
  /** Symbolic links, by their place in the image. */
  links: Record<string, string>;
  directories: { path: string; mode: number }[];
  entrypoint?: string[];
  command?: string[];
  env: string[];
  workingDir: string;
  port: number;
}

/** busybox is the shell and what one looks around with. */
export const DEBIAN_PACKAGES = [
  'base-files',
  'libc6',
  'libstdc++6',
  'libgcc-s1',
  'redis-server',
  'busybox-static',
];

const PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** What one looks around with. busybox's shell has the others by itself. */
const APPLETS = (
  'cat cp date dd df du echo env false find free grep head hostname id ip kill less ls mkdir mount mv nc ping ' +
  'ps pwd rm sed sh sha256sum sleep sort stat stty sync tail tar test top touch true tty uname vi wc wget'
).split(' ');

/** Debian's layout of the root (everything in /usr) and what a container expects to be mounted over. */
const BASE_LINKS = {
  bin: 'usr/bin',
  sbin: 'usr/sbin',
  lib: 'usr/lib',
  lib64: 'usr/lib64',
  ...Object.fromEntries(APPLETS.map((applet) => [`usr/bin/${applet}`, 'busybox'])),
};
const BASE_DIRECTORIES = [
  ...['dev', 'proc', 'sys', 'run', 'etc', 'usr/bin', 'usr/sbin', 'var/lib'].map((path) => ({
    path,
    mode: 0o755,
  })),
  { path: 'tmp', mode: 0o1777 },
  { path: 'root', mode: 0o700 },
];
const BASE_TEXTS = [
  {
    target: 'etc/passwd',
    text: 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n',
  },
  { target: 'etc/group', text: 'root:x:0:\nnogroup:x:65534:\n' },
  { target: 'etc/nsswitch.conf', text: 'passwd: files\ngroup: files\nhosts: files dns\n' },
  { target: 'etc/hosts', text: '127.0.0.1 localhost\n::1 localhost\n' },
  { target: 'etc/resolv.conf', text: '' },
  { target: 'etc/hostname', text: '' },
];

/** No disk and no defragmentation: what is checkpointed is the data set, and it lies still. */
const REDIS_CONF = `bind * -::*
port 6379
protected-mode no
daemonize no
dir /var/lib/redis
save ""
appendonly no
io-threads 1
activedefrag no
locale-collate C
`;

export function redisRecipe(): ImageRecipe {
  return {
    name: 'redis',
    programs: ['usr/bin/redis-server', 'usr/bin/redis-cli', 'usr/bin/busybox'],
    files: [],
    texts: [...BASE_TEXTS, { target: 'etc/redis/redis.conf', text: REDIS_CONF }],
    links: BASE_LINKS,
    directories: [...BASE_DIRECTORIES, { path: 'var/lib/redis', mode: 0o755 }],
    // No entrypoint: `run redis sh` is a shell.
    command: ['/usr/bin/redis-server', '/etc/redis/redis.conf'],
    env: [PATH],
    workingDir: '/var/lib/redis',
    port: 6379,
  };
}

/** @param sources the Node binary, and the directory of the server's own files */
export function nodeRecipe(sources: { nodeBinary: string; serverDirectory: string }): ImageRecipe {
  const serverFile = (name: string) => ({
    target: `app/${name}`,
    source: `${sources.serverDirectory}/${name}`,
    mode: 0o644,
  });
  return {
    name: 'node',
    programs: ['usr/bin/busybox'],
    files: [
      { target: 'usr/bin/node', source: sources.nodeBinary, mode: 0o755, libraries: true },
      serverFile('server.mjs'),
      serverFile('records.mjs'),
    ],
    texts: BASE_TEXTS,
    links: BASE_LINKS,
    directories: [...BASE_DIRECTORIES, { path: 'app', mode: 0o755 }],
    // The limit leaves room for the largest heap that the server takes on.
    command: ['/usr/bin/node', '--max-old-space-size=1024', '/app/server.mjs'],
    // CRIU cannot dump an io_uring. libuv 1.50 and newer heeds this for file I/O only and opens a ring for
    // epoll all the same, so the guest's kernel has to refuse io_uring_setup (sysctl kernel.io_uring_disabled=2).
    env: [PATH, 'NODE_ENV=production', 'UV_USE_IO_URING=0', 'HEAP_MIB=160', 'PORT=8080'],
    workingDir: '/app',
    port: 8080,
  };
}

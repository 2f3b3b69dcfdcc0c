/** What a plane says of a container, a checkpoint, a restore, an operation. */
export const CONTAINER = {
  id: 'c0ffee00c0de',
  name: 'web',
  guest: 'guest-a',
  image: 'redis',
  phase: 'running',
  address: '10.88.0.2',
  ports: [{ hostAddress: '127.0.0.1', hostPort: 40_001, containerPort: 6379 }],
  labels: {},
  policies: {},
  restartCount: 0,
  createdAt: '2020-01-01T00:00:00.000Z',
};

export const ENDED = {
  ...CONTAINER,
  id: 'ba5eba11c0de',
  name: 'job',
  phase: 'stopped',
  exitCode: 3,
  ports: [],
};

export const CHECKPOINT = {
  ...{ id: 'warm', createdAt: '2020-01-01T00:00:00.000Z', container: 'web', tenant: 'default' },
  ...{ image: 'redis', pinned: false, pageCount: 2_560, zeroPageCount: 10, inheritedPageCount: 0 },
  ...{ bytes: 5 * 2 ** 20, sharedBytes: 0, hasOrderLog: true },
};

export const RESTORE = {
  ...{ id: 'web-1', createdAt: '2020-01-01T00:00:00.000Z', checkpoint: 'warm', container: 'web' },
  ...{ guest: 'guest-a', clone: false, policy: 'ordered', effectivePolicy: 'lazy', phase: 'complete' },
  ...{ firstResponseMs: 12.34, completeMs: 1_234, faultCount: 3, pushedPageCount: 256 },
  ...{ totalPageCount: 512, pagesVerified: true },
};

export const OPERATION = {
  ...{ id: 'abcd', kind: 'pull', subject: 'redis', phase: 'failed', progress: { text: 'pulling' } },
  ...{ createdAt: '2020-01-01T00:00:00.000Z', endedAt: '2020-01-01T00:00:05.000Z' },
  error: { code: 'registry_failed', message: 'pull redis: the registry is gone' },
};

import { test } from 'uvu';
import * as assert from 'uvu/assert';
import type { CheckpointContents } from '../../../../offload-plane/checkpoints/contents/contract.ts';
import { contentsTree } from '../../../../offload-plane/cli/trees/contents-tree.ts';
import { formatTree } from '../../../../offload-plane/cli/trees/tree.ts';

const CONTENTS: CheckpointContents = {
  id: 'c1',
  hostname: 'web',
  memory: { storedPageCount: 300, zeroPageCount: 2 },
  sharedMemory: [{ id: 9, pids: [1, 4], storedPageCount: 1, zeroPageCount: 0 }],
  workingSet: { pageCount: 7, pageCountByKind: { anonymous: 7 } },
  processes: [
    {
      pid: 1,
      parentPid: 0,
      name: 'init',
      state: 'running',
      command: ['init', '-x'],
      threads: [
        { tid: 1, name: 'init' },
        { tid: 2, name: 'worker' },
        { tid: 3, name: 'worker' },
      ],
      handles: [
        { fd: 0, kind: 'file', flags: ['O_RDONLY'], closeOnExec: false, path: '/dev/null', offset: 0 },
      ],
      mappings: [
        {
          start: '0x1000',
          end: '0x3000',
          kind: 'anonymous',
          protection: 'rw-p',
          storedPageCount: 1,
          zeroPageCount: 1,
        },
        {
          start: '0x4000',
          end: '0x5000',
          kind: 'anonymous',
          protection: 'rw-p',
          storedPageCount: 1,
          zeroPageCount: 0,
          workingSetPageCount: 1,
        },
      ],
    },
    {
      pid: 4,
      parentPid: 1,
      name: 'gone',
      state: 'zombie',
      exitCode: 3,
      threads: [],
      handles: [],
      mappings: [],
    },
  ],
};

test('processes stand below their parents, mappings of a kind together', () => {
  assert.is(
    formatTree(contentsTree(CONTENTS, { eachMapping: false })),
    `c1  hostname web, 300 pages (1.2 MiB), 2 zero, working set 7 pages
├─ 1 init  running  init -x
│  ├─ threads  init, worker ×2
│  ├─ handles
│  │  └─ 0 file  /dev/null  O_RDONLY
│  ├─ memory
│  │  └─ anonymous ×2  2 pages (0.0 MiB), 1 zero, working set 1
│  └─ 4 gone  zombie 3
└─ shared memory 9  1 pages (0.0 MiB), of 1, 4
`,
  );
});

test('each mapping by itself is told with where it is', () => {
  assert.match(
    formatTree(contentsTree(CONTENTS, { eachMapping: true })),
    /0x4000-0x5000 {2}rw-p {2}anonymous {2}1 pages \(0\.0 MiB\), working set 1/,
  );
});

test('letters that would move the cursor of a terminal are shown as escapes', () => {
  assert.is(formatTree({ text: 'a\u001b[2J\nb' }), 'a\\u001b[2J\\nb\n');
});

test.run();

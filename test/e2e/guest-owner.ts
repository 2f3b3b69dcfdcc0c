/** Boots two guests with the shell agent, says where they are, and holds them until it is killed. */
import { join } from 'node:path';
import { startGuest } from '../../testbed/qemu/guest.ts';
import { prepareTestbed, removeOnEndSignals } from '../../testbed/qemu/prepare.ts';

const testbed = await prepareTestbed({
  progress: (line) => console.error(line),
  agentEntryPath: join(import.meta.dirname, 'shell-agent.ts'),
});
removeOnEndSignals(() => testbed.run.remove());
const boots = ['boot-a', 'boot-b'].map((name, index) =>
  startGuest({ name, cid: 3 + index, memoryMiB: 512, vcpus: 2 }, testbed.guestDeps),
);
const guests = await Promise.all(boots);
const { path, scratchPath } = testbed.run;
const { deadlineScale } = testbed.verdict;
console.log(
  JSON.stringify({ guests, path, scratchPath, deadlineScale, diskPath: testbed.guestDeps.agentLayerPath }),
);
setInterval(() => {}, 60_000);

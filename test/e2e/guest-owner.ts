/** Boots two guests with the shell agent, says where they are, and holds them until it is killed. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startGuest } from '../../testbed/qemu/guest.ts';
import { prepareTestbed, removeOnEndSignals } from '../../testbed/qemu/prepare.ts';

const progress: string[] = [];
const testbed = await prepareTestbed({
  progress: (line) => {
    progress.push(line);
    console.error(line);
  },
  agentEntryPath: join(import.meta.dirname, 'shell-agent.ts'),
});
removeOnEndSignals(() => testbed.run.remove());
const { accelerator, qemuPath } = testbed.guestDeps;
const qemuPaths = [qemuPath, accelerator === 'tcg' ? stallsOnce(qemuPath) : qemuPath];
const boots = ['boot-a', 'boot-b'].map((name, index) =>
  startGuest(
    { name, cid: 3 + index, memoryMiB: 512, vcpus: 2 },
    { ...testbed.guestDeps, qemuPath: qemuPaths[index]! },
  ),
);
const guests = await Promise.all(boots);
const { path, scratchPath } = testbed.run;
const { deadlineScale } = testbed.verdict;
const diskPath = testbed.guestDeps.agentLayerPath;
console.log(JSON.stringify({ guests, path, scratchPath, deadlineScale, diskPath, progress }));
setInterval(() => {}, 60_000);

/** A QEMU whose first guest says what an emulated kernel says that gets no timer, and then nothing more. */
function stallsOnce(real: string): string {
  const wrapper = testbed.run.file('qemu-that-stalls-once');
  const script = `#!/bin/bash
if mkdir "$0.stalled" 2>/dev/null; then
  for word; do case $word in file,id=serial0,path=*) log=\${word#*path=}; log=\${log%,append=on} ;; esac; done
  echo '[   22.03] rcu: INFO: rcu_sched detected stalls on CPUs/tasks:' >>"$log"
  exec sleep 600
fi
exec '${real}' "$@"
`;
  writeFileSync(wrapper, script, { mode: 0o755 });
  return wrapper;
}

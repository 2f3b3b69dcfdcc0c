import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { bootMarker } from '../../../testbed/image/init-script.ts';
import { isStalledBoot } from '../../../testbed/qemu/stalled-kernel.ts';

const STALLS = [
  '[   21.004] rcu: INFO: rcu_sched detected stalls on CPUs/tasks:',
  '[   21.004] rcu: INFO: rcu_preempt self-detected stall on CPU',
  '[   21.820] rcu: INFO: rcu_sched detected expedited stalls on CPUs/tasks: { 1-...D } 5297 jiffies s: 33 root: 0x2/.',
];

test('an emulated kernel that reports a stall before user space does not come up', () => {
  for (const line of STALLS) assert.ok(isStalledBoot('tcg', `[    0.010] Linux\n${line}\n`), line);
});

test('a stall after user space was reached, of another accelerator, or none at all is not one of the boot', () => {
  const stall = `${STALLS[0]}\n`;
  assert.not(isStalledBoot('tcg', `${bootMarker}\n${stall}`));
  assert.not(isStalledBoot('kvm', stall));
  assert.not(isStalledBoot('tcg', '[    0.010] rcu: Hierarchical SRCU implementation.\n'));
});

test.run();

/**
 * An emulated guest's kernel can stand still before user space: under TCG one of its processors now and then gets no
 * timer any more (once in some hundred boots). The kernel notices and says so; the same guest then boots at the next try.
 */
import { bootMarker } from '../image/init-script.ts';
import type { Accelerator } from './argv.ts';

/** What Linux prints of a processor that does nothing for it (kernel/rcu/tree_stall.h, tree_exp.h). */
const STALL = /rcu: INFO: rcu_\w+ (?:self-detected stall|detected (?:expedited )?stalls) on CPU/;

/** Whether a boot will not get to user space, by its serial line. With KVM a stall is the machine's own trouble. */
export function isStalledBoot(accelerator: Accelerator, serialText: string): boolean {
  return accelerator === 'tcg' && STALL.test(serialText) && !serialText.includes(bootMarker);
}

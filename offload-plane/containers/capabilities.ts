/** Linux capabilities by name, as --cap-add and --cap-drop change them. */
import { DEFAULT_CAPABILITIES } from '../../interconnect/capabilities.ts';
import { OffloadError } from '../../platform/errors.ts';

const ALL_CAPABILITIES: readonly string[] = [
  ...DEFAULT_CAPABILITIES,
  ...['CAP_AUDIT_CONTROL', 'CAP_AUDIT_READ', 'CAP_AUDIT_WRITE', 'CAP_BLOCK_SUSPEND', 'CAP_BPF'],
  ...['CAP_CHECKPOINT_RESTORE', 'CAP_DAC_READ_SEARCH', 'CAP_IPC_LOCK', 'CAP_IPC_OWNER', 'CAP_LEASE'],
  ...['CAP_LINUX_IMMUTABLE', 'CAP_MAC_ADMIN', 'CAP_MAC_OVERRIDE', 'CAP_MKNOD', 'CAP_NET_ADMIN'],
  ...['CAP_NET_BROADCAST', 'CAP_NET_RAW', 'CAP_PERFMON', 'CAP_SYSLOG', 'CAP_SYS_ADMIN', 'CAP_SYS_BOOT'],
  ...['CAP_SYS_MODULE', 'CAP_SYS_NICE', 'CAP_SYS_PACCT', 'CAP_SYS_PTRACE', 'CAP_SYS_RAWIO'],
  ...['CAP_SYS_RESOURCE', 'CAP_SYS_TIME', 'CAP_SYS_TTY_CONFIG', 'CAP_WAKE_ALARM'],
];

/**
 * All that a container gets, in alphabetical order. `ALL` stands for every one there is; names may lack their
 * CAP_ and be of any case. As Docker does: with `ALL` dropped only what is added stays.
 * @throws {OffloadError} invalid_request for a name that is no capability
 */
export function capabilitiesOf(added: readonly string[] = [], dropped: readonly string[] = []): string[] {
  const [add, drop] = [added.map(nameOf), dropped.map(nameOf)];
  const base = add.includes('ALL') ? ALL_CAPABILITIES : DEFAULT_CAPABILITIES;
  const kept = drop.includes('ALL') && !add.includes('ALL') ? [] : base;
  const granted = new Set<string>([...kept, ...add.filter((name) => name !== 'ALL')]);
  for (const name of drop) if (!add.includes(name)) granted.delete(name);
  return [...granted].sort();
}

function nameOf(given: string): string {
  const upper = given.toUpperCase();
  if (upper === 'ALL') return upper;
  const name = upper.startsWith('CAP_') ? upper : `CAP_${upper}`;
  if (ALL_CAPABILITIES.includes(name)) return name;
  throw new OffloadError('invalid_request', `capability ${given}: Linux has none of this name`);
}

/** The processes of a checkpoint, each with its threads, handles and mappings. */
import { OffloadError } from '../../../platform/errors.ts';
import type { CoreEntry, PstreeEntry } from '../../criu-images/messages.ts';
import type { Message } from '../../criu-images/wire.ts';
import type { CheckpointReader } from '../../page-store/contract.ts';
import { readCommand } from './command.ts';
import type { ProcessState, ProcessView } from './contract.ts';
import { handleOf, pathOf } from './handles.ts';
import type { FileTable, Images } from './images.ts';
import type { Budget } from './limits.ts';
import { type Mapping, mappingsOf } from './mappings.ts';

export interface Process {
  view: ProcessView;
  mappings: Mapping[];
}

/** CRIU's task states. */
const STATES: Readonly<Record<number, ProcessState>> = { 1: 'running', 2: 'dead', 3: 'stopped', 6: 'zombie' };

/** In the order of CRIU's tree: parents before their children. */
export async function readProcesses(
  reader: CheckpointReader,
  images: Images,
  budget: Budget,
): Promise<Process[]> {
  const files = await images.files();
  const processes: Process[] = [];
  const tree = await images.pstree();
  refuseTwice(reader, tree);
  for (const { pid, ppid, threads } of tree) {
    budget.spend(1 + threads.length);
    const core = await images.core(pid);
    const state = STATES[core.task?.state ?? 0] ?? 'unknown';
    const view: ProcessView = {
      pid,
      parentPid: ppid,
      name: core.task?.name ?? '',
      state,
      ...userOf(core),
      threads: [],
      handles: [],
      mappings: [],
    };
    const process: Process = { view, mappings: [] };
    processes.push(process);
    // What has ended has left nothing but its exit code.
    if (state === 'dead' || state === 'zombie') view.exitCode = core.task?.exitCode ?? 0;
    else await describe(process, { reader, images, files, threads, budget });
  }
  return processes;
}

/** Named twice, a small tree could have the same images read without end. */
function refuseTwice(reader: CheckpointReader, tree: readonly Message<typeof PstreeEntry>[]): void {
  const known = new Set<number>();
  for (const { pid, threads } of tree) {
    // CRIU lists a process among its own threads.
    for (const tid of threads.includes(pid) ? threads : [pid, ...threads]) {
      if (known.has(tid)) {
        throw new OffloadError(
          'invalid_checkpoint',
          `inspect checkpoint ${reader.manifest.id}: pstree.img has thread ${tid} of process ${pid} twice`,
        );
      }
      known.add(tid);
    }
  }
}

interface Sources {
  reader: CheckpointReader;
  images: Images;
  files: FileTable;
  threads: readonly number[];
  budget: Budget;
}

async function describe(process: Process, sources: Sources): Promise<void> {
  const { view } = process;
  const { reader, images, files, threads, budget } = sources;
  for (const tid of threads) {
    const { task, thread } = await images.core(tid);
    view.threads.push({ tid, name: thread?.name || task?.name || '' });
  }
  const descriptors = await images.descriptors(view.pid);
  budget.spend(descriptors.length);
  for (const entry of descriptors) {
    const handle = handleOf(entry, files);
    budget.spend(handle.watches?.length ?? 0);
    budget.spendTextsOf(handle);
    view.handles.push(handle);
  }
  view.handles.sort((a, b) => a.fd - b.fd);
  const mm = await images.mm(view.pid);
  budget.spend(mm.mappings.length);
  process.mappings = mappingsOf(view.pid, mm, files);
  view.mappings = process.mappings.map((mapping) => mapping.view);
  budget.spendTextsOf(view.mappings);
  const { path: executable } = pathOf(mm.executableId, files);
  const command = await readCommand(reader, view.pid, mm);
  budget.spend(command?.length ?? 0);
  Object.assign(
    view,
    executable === undefined ? {} : { executable },
    command === undefined ? {} : { command },
  );
}

function userOf({ thread }: Message<typeof CoreEntry>): { user?: string } {
  const credentials = thread?.credentials;
  return credentials === undefined ? {} : { user: `${credentials.uid}:${credentials.gid}` };
}

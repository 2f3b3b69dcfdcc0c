/**
 * Pagers of an agent over fake programs: each is a little process that says what it is told here, where the page
 * protocol is spoken for it. One that loses its plane dials the next, as the real one does.
 */
import { type FSWatcher, mkdirSync, readFileSync, watch } from 'node:fs';
import { type FileHandle, open, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { type Duplex, pipeline } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { FrameType } from '../../interconnect/page-protocol.ts';
import { pollUntil } from '../../platform/deadline.ts';
import { FakePager } from '../offload-plane/page-server/fake-pager.ts';
import type { AgentWorld } from './agent-world.ts';

/** How long one does without a plane. */
const DEADLINE_MS = 600_000;
const REDIAL_MS = 20;
const CREDIT_PAGES = 1_024;

export interface PlayedPagers {
  count(): number;
  close(): void;
}

interface Process {
  pid: number;
  token: string;
  /** Of its container. */
  id: string;
  says: FileHandle;
  /** It has said DONE: nothing is missing any more, so it is done even if it never hears that the plane knows. */
  isFinished: boolean;
}

type Dial = () => Promise<Duplex>;

export function playPagers(world: AgentWorld, dial: Dial): PlayedPagers {
  const directory = join(world.directory, 'pagers');
  mkdirSync(directory);
  /** By pid, which another one may have when it has ended. */
  const atWork = new Set<number>();
  let closed = false;

  async function play(pid: number): Promise<void> {
    const args = (await readFile(join(directory, `${pid}.args`), 'utf8')).trim().split(' ');
    const option = (name: string) => args[args.indexOf(name) + 1]!;
    // Open for both, it waits for no reader: that one may be gone.
    const says = await open(join(directory, `${pid}.says`), 'r+');
    try {
      const token = readFileSync(option('--token-file')).toString('hex');
      const id = basename(option('--work-dir'));
      const word = await playOne(
        world,
        dial,
        { pid, token, id, says, isFinished: false },
        () => closed || !isAlive(pid),
      );
      await says.write(`${word}\n`);
      await wait('the end of the pager', () => !isAlive(pid));
    } finally {
      await says.close();
    }
  }

  const watcher: FSWatcher = watch(directory, (_event, name) => {
    const pid = Number(/^(\d+)\.args$/.exec(name ?? '')?.[1]);
    if (!pid || atWork.has(pid)) return;
    atWork.add(pid);
    // One that was ended in the middle has nothing more to say.
    void play(pid)
      .catch(() => undefined)
      .finally(() => atWork.delete(pid));
  });
  return {
    count: () => atWork.size,
    close() {
      closed = true;
      watcher.close();
    },
  };
}

/** @returns its last word: `done`, or why not */
async function playOne(world: AgentWorld, dial: Dial, own: Process, isOver: () => boolean): Promise<string> {
  let before: FakePager | undefined;
  let sinceMs = performance.now();
  while (!isOver() && performance.now() - sinceMs < DEADLINE_MS) {
    const stream = await dial().catch(() => undefined);
    if (stream === undefined) {
      await delay(REDIAL_MS);
      continue;
    }
    const pager = pagerOn(stream);
    const end = await speak(world, own, pager, before, isOver);
    stream.destroy();
    if (end !== undefined) return own.isFinished ? 'done' : end;
    if (!isWhole(pager) && before === undefined) return 'the plane closed before map and files were complete';
    if (pager.seen.length > 0) sinceMs = performance.now();
    before = before === undefined || pager.seen.length > 0 ? pager : before;
  }
  return own.isFinished ? 'done' : 'no plane to go on with';
}

/** @returns its last word; undefined: the connection is gone */
async function speak(
  { agent }: AgentWorld,
  own: Process,
  pager: FakePager,
  before: FakePager | undefined,
  isOver: () => boolean,
): Promise<string | undefined> {
  const { token, id, says } = own;
  const isGone = () => pager.closed || pager.text !== '' || isOver();
  const ends = () => pager.seen.filter(({ type }) => type === FrameType.END).length;
  const stepTo = async (what: string, condition: () => boolean) => {
    await wait(what, () => condition() || isGone());
    return condition();
  };
  const lastWord = () => pager.text || undefined;
  if (before === undefined) {
    pager.hello(token);
    pager.credit(CREDIT_PAGES);
    if (!(await stepTo('map and files', () => isWhole(pager)))) return lastWord();
    await says.write('ready\n');
  } else {
    pager.goesOnFrom(before);
    pager.resume(token, before.missing());
    pager.credit(CREDIT_PAGES);
  }
  const runs = () => !agent.containers.has(id) || agent.containers.inspect(id).phase !== 'restoring';
  if (!(await stepTo('the container', runs))) return lastWord();
  pager.restored();
  const [range] = pager.missing();
  if (range) pager.fault(range.task, range.vaddr);
  if (!(await stepTo('every page', () => ends() > 0))) return lastWord();
  own.isFinished = true;
  pager.done();
  return (await stepTo('the answer to DONE', () => ends() > 1)) ? 'done' : lastWord();
}

const isWhole = ({ seen }: FakePager): boolean =>
  [FrameType.MAP_END, FrameType.FILES_END].every((wanted) => seen.some(({ type }) => type === wanted));

function pagerOn(stream: Duplex): FakePager {
  const acceptPager = (far: Duplex) => {
    pipeline(stream, far, () => far.destroy());
    pipeline(far, stream, () => stream.destroy());
  };
  return new FakePager({ acceptPager });
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function wait(what: string, condition: () => boolean): Promise<void> {
  await pollUntil(async () => condition() || undefined, { timeoutMs: DEADLINE_MS, intervalMs: 10, what });
}

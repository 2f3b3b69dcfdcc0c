/**
 * apt with sources of our own: the machine's sources, pins and package lists stay as they are.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RunProcess } from '../../platform/processes.ts';
import type { Progress } from './cache.ts';

export interface PrivateApt {
  /** Fetches the package lists of these sources. */
  update(): Promise<void>;
  install(packages: string[], targetRelease: string): Promise<void>;
  /** Downloads one package into `directory` without installing it. */
  download(name: string, targetRelease: string, directory: string): Promise<void>;
}

/** Lines of a one-line-format sources.list for the given suites of one archive. */
export function sourceLines(archiveUri: string, suites: string[], keyringPath: string): string[] {
  return suites.map((suite) => `deb [signed-by=${keyringPath}] ${archiveUri} ${suite} main`);
}

/** The options that turn apt-get away from the machine's sources and lists. Pure. */
export function privateAptOptions(directory: string): string[] {
  const settings = {
    'Dir::Etc::sourcelist': join(directory, 'sources.list'),
    'Dir::Etc::sourceparts': '/dev/null',
    'Dir::State::lists': join(directory, 'lists'),
    'Dir::Cache::archives': join(directory, 'archives'),
    'Dir::Cache::pkgcache': '',
    'Dir::Cache::srcpkgcache': '',
    'APT::Get::List-Cleanup': 'false',
    'APT::Sandbox::User': 'root',
    'DPkg::Lock::Timeout': '300',
  };
  return Object.entries(settings).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
}

/** Prepares a private apt in `directory` with the given sources.list lines. */
export function createPrivateApt(
  directory: string,
  lines: string[],
  run: RunProcess,
  progress: Progress,
): PrivateApt {
  for (const part of ['lists/partial', 'archives/partial'])
    mkdirSync(join(directory, part), { recursive: true });
  writeFileSync(join(directory, 'sources.list'), `${lines.join('\n')}\n`);
  const options = ['-q', ...privateAptOptions(directory)];
  const env = { DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C.UTF-8' };
  const onLine = (line: string) => {
    if (/^Setting up /.test(line)) progress(line);
  };
  return {
    update: async () => {
      await run('apt-get', [...options, 'update'], { env, timeoutMs: 600_000 });
    },
    install: async (packages, targetRelease) => {
      const verb = ['install', '-y', '--no-install-recommends', '-t', targetRelease, ...packages];
      await run('apt-get', [...options, ...verb], { env, onLine, timeoutMs: 1_800_000 });
    },
    download: async (name, targetRelease, cwd) => {
      mkdirSync(cwd, { recursive: true });
      await run('apt-get', [...options, 'download', `${name}/${targetRelease}`], {
        env,
        cwd,
        timeoutMs: 600_000,
      });
    },
  };
}

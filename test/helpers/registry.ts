/** Debian's registry on loopback, over plain HTTP, with storage of its own. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { freePort } from '../../testbed/scenarios/free-port.ts';
import { tempDirectory, writeInto } from './temp-directory.ts';
import { until } from './until.ts';

const missing = ['docker-registry', 'skopeo'].filter((tool) => spawnSync(tool, ['--version']).error);
/** Why there can be none here; '' when there can. */
export const noRegistry = missing.length === 0 ? '' : `not installed: ${missing.join(', ')}`;

export interface Registry {
  /** `host:port` */
  readonly address: string;
  /** Puts an image of a layout there. */
  push(layout: string, tag: string, name: string): Promise<void>;
  stop(): Promise<void>;
}

/** @param htpasswd lines of user and bcrypt hash; without it everybody may do everything */
export async function startRegistry(htpasswd?: string): Promise<Registry> {
  const directory = tempDirectory('registry');
  const address = `127.0.0.1:${await freePort()}`;
  const auth =
    htpasswd === undefined
      ? ''
      : `auth: {htpasswd: {realm: test, path: ${writeInto(directory, 'htpasswd', htpasswd)}}}\n`;
  const config = writeInto(
    directory,
    'config.yml',
    `version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: ${join(directory, 'data')}}}\nhttp: {addr: '${address}'}\n${auth}`,
  );
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', 'docker-registry', 'serve', config], {
    stdio: 'ignore',
  });
  const ended = once(child, 'exit');
  await until('the registry answers', () =>
    fetch(`http://${address}/v2/`).then(
      () => true,
      () => false,
    ),
  );
  return {
    address,
    async push(layout, tag, name) {
      const args = ['copy', '--quiet', '--dest-tls-verify=false'];
      const credentials = htpasswd === undefined ? [] : ['--dest-creds', 'user:secret'];
      const copying = spawn(
        'skopeo',
        [...args, ...credentials, `oci:${layout}:${tag}`, `docker://${address}/${name}`],
        {
          stdio: ['ignore', 'ignore', 'inherit'],
        },
      );
      const [code] = await once(copying, 'exit');
      if (code !== 0) throw new Error(`push ${name}: skopeo ended with ${code}`);
    },
    async stop() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

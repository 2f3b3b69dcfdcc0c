/** What a user can do about an error: one line, or none. */
import { OffloadError } from '../../platform/errors.ts';

const HINTS: readonly [code: string, message: RegExp, hint: string][] = [
  [
    'not_found',
    /^plane at \/.*(ENOENT|ECONNREFUSED)/,
    'bring one up with `offload up`, or name its socket with --socket',
  ],
  [
    'not_found',
    /^plane at \/.*EACCES/,
    'its socket is for root alone; others use --url and --token-file: `offload status` tells the address',
  ],
  ['not_found', /^plane at http/, 'see whether it listens there: `offload status` tells the address'],
  ['unauthorized', /./, 'give the plane’s token with --token-file, such as /run/offload-plane/token'],
  ['not_found', /^(start|stop|kill|\w+ )?container /, '`offload ps -a` lists them'],
  ['not_found', /^guest /, '`offload guests` lists them'],
  ['not_found', /image /, '`offload images` lists them; fetch one with `offload pull` or `offload import`'],
  ['not_found', /checkpoint /, '`offload checkpoints` lists them'],
  ['not_found', /^template /, '`offload template ls` lists them'],
  ['not_found', /^restore \S+: /, '`offload restores` lists them'],
  ['not_found', /no volume /, '`offload volume ls` lists them'],
  ['already_exists', /the name is taken/, 'choose another with --name, or delete what has it'],
  [
    'invalid_state',
    /^delete container .*: it is (running|paused), not /,
    'end it first: `offload stop`, or `offload rm -f`',
  ],
  ['invalid_state', /: it is paused, not running/, 'let it run on: `offload unpause`'],
  ['invalid_state', /: it is (created|stopped), not running/, 'start it first: `offload start`'],
  [
    'invalid_state',
    /checkpoint \S+ is being read/,
    'a restore, an export or a container that was restored from it needs it: `offload restores`',
  ],
  ['invalid_state', /checkpoint \S+ is pinned/, 'let it go first: `offload unpin`'],
  ['invalid_state', /there is no guest/, 'bring some up with `offload up`, or register one'],
  ['no_space', /./, 'remove checkpoints, or give the plane a larger --store-quota-bytes'],
];

export function hintOf(error: unknown): string | undefined {
  if (error instanceof Error && error.cause instanceof OffloadError) return hintOf(error.cause);
  if (!(error instanceof OffloadError)) return undefined;
  return HINTS.find(([code, message]) => code === error.code && message.test(error.message))?.[2];
}

/** Names for containers that were given none: a quality and something of the sea or the sky. */
import { OffloadError } from '../../platform/errors.ts';

const QUALITIES =
  'agile amber bold brave brisk calm clear crisp deep eager fair fleet gentle glad keen kind light lively lucid mellow mild neat noble patient plain proud quick quiet ready sharp shiny silent smooth steady still sunny swift tidy vivid warm'.split(
    ' ',
  );
const THINGS =
  'anchor aurora bay beacon breeze buoy canal cape cloud comet coral cove current delta dune ferry fjord gale harbor horizon island isthmus jetty keel lagoon lantern lighthouse mast meteor moon orbit pier planet reef river sail shore spray star tide'.split(
    ' ',
  );
const TRIES = 8;
const SUFFIX_BYTES = 3;

/** The first tries have no number; once they are all taken, digits make the name unique. */
export function newName(
  isTaken: (name: string) => boolean,
  randomBytes: (byteCount: number) => Buffer,
): string {
  for (let attempt = 0; attempt < 2 * TRIES; attempt += 1) {
    const [quality = 0, thing = 0] = randomBytes(2);
    const base = `${QUALITIES[quality % QUALITIES.length]}_${THINGS[thing % THINGS.length]}`;
    const name = attempt < TRIES ? base : `${base}_${randomBytes(SUFFIX_BYTES).toString('hex')}`;
    if (!isTaken(name)) return name;
  }
  throw new OffloadError('invalid_state', 'name a container: no free name was found; give one');
}

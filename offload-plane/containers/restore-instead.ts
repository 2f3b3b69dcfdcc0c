/** A container that is stopped, again from a checkpoint: under its name, with its ports, in any guest. */
import type { Restores } from '../restores/restores.ts';
import type { Container } from './container.ts';
import type { Containers } from './containers.ts';

export interface RestoreInsteadDeps {
  containers: Pick<Containers, 'replace'>;
  restores: Pick<Restores, 'create'>;
}

/** The old one is gone then; when this fails it is as it was. */
export function restoreInstead(
  { containers, restores }: RestoreInsteadDeps,
  container: Container,
  { guest, checkpoint }: { guest: string; checkpoint: string },
): Promise<void> {
  const { name, ports, policies, labels } = container;
  return containers.replace(container, () =>
    restores.create({ checkpoint, guest, name, ports, like: { policies, labels }, instead: container }),
  );
}

/** The files of an exported checkpoint that podman writes and checkpointctl shows; nothing of ours reads them. */
import type { ContainerRecipe } from '../../containers/container.ts';
import type { CheckpointManifest } from '../../page-store/contract.ts';

/** Of libpod's container configuration what says who the container was. */
export function configDump({ id, createdAt, digest }: CheckpointManifest, recipe: ContainerRecipe): object {
  return {
    // libpod's ids have 64 hex digits; the checkpoint's digest is as good a name.
    id: digest,
    name: recipe.spec.hostname,
    rootfsImage: recipe.imageDigest.replace(/^sha256:/, ''),
    rootfsImageRef: recipe.imageDigest,
    rootfsImageName: recipe.image,
    runtime: 'crun',
    createdTime: createdAt,
    checkpointedTime: createdAt,
    restored: false,
    checkpointName: id,
  };
}

/** Of the OCI runtime specification what the plane knows: the agent makes the rest. */
export function specDump({ id }: CheckpointManifest, { spec, containerPorts }: ContainerRecipe): object {
  return {
    ociVersion: '1.0.2',
    hostname: spec.hostname,
    process: { user: userOf(spec.user), args: spec.command, env: spec.env, cwd: spec.workingDir },
    root: { path: 'rootfs' },
    annotations: {
      'io.container.manager': 'libpod',
      'org.offload.checkpoint': id,
      'org.offload.container-ports': containerPorts.join(','),
    },
  };
}

/** Only the guest's agent looks names up. */
function userOf(user: string): object {
  const [uid, gid] = user.split(':').map(Number);
  return Number.isInteger(uid) && Number.isInteger(gid) ? { uid, gid } : { username: user };
}

const GATEWAY = '10.88.0.1';

export function networkStatus({ spec }: ContainerRecipe): object {
  return {
    offload: { interfaces: { eth0: { subnets: [{ ipnet: spec.address, gateway: GATEWAY }] } } },
  };
}

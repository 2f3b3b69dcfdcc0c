/** What a container stands on, made before crun runs and cleared away with it: network, mounts, config.json. */
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { release } from 'node:os';
import { join } from 'node:path';
import type { ContainerSpec } from '../interconnect/agent-api.ts';
import { DEFAULT_CAPABILITIES } from '../interconnect/capabilities.ts';
import type { Networks } from './network.ts';
import { type AgentPaths, containerPaths, exitDirectory, volumeMounts } from './paths.ts';
import type { Rootfs } from './rootfs.ts';
import type { Crun } from './runtime/crun.ts';
import { ociSpec } from './runtime/oci-spec.ts';
import { readSeccomp } from './runtime/seccomp-profile.ts';
import { findUser } from './users.ts';
import type { Volumes } from './volumes.ts';

export interface BundleDeps {
  paths: AgentPaths;
  crun: Crun;
  networks: Networks;
  rootfs: Rootfs;
  volumes: Volumes;
}

export function createBundles(deps: BundleDeps) {
  const { paths, crun, networks, rootfs, volumes } = deps;

  /** @param mounted its root filesystem has its files: they say who a user of that name is */
  async function writeConfig(spec: ContainerSpec, mounted: Promise<unknown>): Promise<void> {
    const own = containerPaths(paths, spec.id);
    const user = await findUser(spec.user, `create container ${spec.id}`, async (path) => {
      await mounted;
      return rootfs.readText(own, path);
    });
    const seccomp = await readSeccomp(spec, paths.seccompProfile, {
      capabilities: spec.capabilities ?? DEFAULT_CAPABILITIES,
      arch: process.arch,
      kernel: release(),
    });
    const options = { user, seccomp, volumeMount: (lun: number) => join(volumeMounts(paths), String(lun)) };
    await writeFile(own.config, JSON.stringify(ociSpec(spec, own, options)));
  }

  return {
    /** Where it fails, remove() clears away what there is. */
    async make(spec: ContainerSpec): Promise<void> {
      const own = containerPaths(paths, spec.id);
      await mkdir(own.bundle, { recursive: true });
      await mkdir(own.data, { recursive: true });
      const mounted = rootfs.mount(spec.id, spec.rootfsLun, own);
      await Promise.all([
        networks.attach(own.networkNamespace, spec.address),
        mounted.then(() => volumes.mount(spec, own.rootfs)),
        writeConfig(spec, mounted),
      ]);
    },
    /** For a container that has ended and shall be created again; its writable layer stays. */
    async remake(before: ContainerSpec, spec: ContainerSpec): Promise<void> {
      const { id } = spec;
      const own = containerPaths(paths, id);
      await crun.deleteForced(id).catch(() => undefined);
      await rm(join(exitDirectory(paths), id), { force: true });
      if (spec.address !== before.address) {
        await networks.detach(own.networkNamespace, before.address);
      }
      await networks.ensure(own.networkNamespace, spec.address);
      if (spec.rootfsLun !== before.rootfsLun) {
        await rootfs.unmount(id, before.rootfsLun, own);
        await rootfs.mount(id, spec.rootfsLun, own);
      }
      await volumes.mount(spec, own.rootfs);
      const kept = new Set(spec.volumes?.map(({ lun }) => lun));
      await volumes.unmount(
        id,
        before.volumes?.filter(({ lun }) => !kept.has(lun)),
      );
      await writeConfig(spec, Promise.resolve());
    },
    releaseVolumes: (spec: ContainerSpec) => volumes.release(spec.id, spec.volumes),
    async remove(spec: ContainerSpec): Promise<void> {
      const own = containerPaths(paths, spec.id);
      await networks.detach(own.networkNamespace, spec.address);
      await rootfs.unmount(spec.id, spec.rootfsLun, own);
      await volumes.unmount(spec.id, spec.volumes);
      for (const path of [own.data, own.bundle]) await rm(path, { recursive: true, force: true });
      await rm(join(exitDirectory(paths), spec.id), { force: true });
    },
  };
}
export type Bundles = ReturnType<typeof createBundles>;

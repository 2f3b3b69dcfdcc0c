/** What the agent does to the guest it is in: links, mounts, a look at other programs. */
import { createDeviceMounts, type DeviceMounts } from './device-mounts.ts';
import { type LeftoverProgram, listPrograms } from './leftover-programs.ts';
import { createNetworks, type Networks } from './network.ts';
import { type AgentPaths, imageMounts, volumeMounts } from './paths.ts';
import { createRootfs, IMAGE_DEVICE, type MountOverlay, type Rootfs } from './rootfs.ts';
import type { RunProgram } from './run-program.ts';
import { createVolumes, VOLUME_DEVICE, type Volumes } from './volumes.ts';

export interface GuestParts {
  networks: Networks;
  rootfs: Rootfs;
  volumes: Volumes;
  imageDevices: Pick<DeviceMounts, 'adopt' | 'releaseUnused'>;
  volumeDevices: Pick<DeviceMounts, 'adopt' | 'releaseUnused'>;
  listPrograms: () => Promise<LeftoverProgram[]>;
}

export interface GuestPartsDeps {
  run: RunProgram;
  paths: AgentPaths;
  mountOverlay: MountOverlay;
}

export function createGuestParts({ run, paths, mountOverlay }: GuestPartsDeps): GuestParts {
  const images = createDeviceMounts({ run, directory: imageMounts(paths), kind: IMAGE_DEVICE });
  const devices = createDeviceMounts({ run, directory: volumeMounts(paths), kind: VOLUME_DEVICE });
  return {
    networks: createNetworks(run),
    rootfs: createRootfs({ run, images, mountOverlay, programDirectory: paths.programDirectory }),
    volumes: createVolumes({ run, devices }),
    imageDevices: images,
    volumeDevices: devices,
    listPrograms,
  };
}

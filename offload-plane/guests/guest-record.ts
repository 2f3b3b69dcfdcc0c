/** What the plane keeps of a guest on disk. */
import { type Static, Type } from 'typebox';
import type { Health } from '../../interconnect/agent-api.ts';

export interface GuestRegistration {
  name: string;
  /** The guest's vsock as a Unix socket, see transport.ts. */
  vsockPath: string;
  /** A QMP socket of its QEMU that is the plane's alone. */
  qmpPath: string;
  accelerator: string;
  memoryMiB: number;
  vcpus: number;
}

export const GuestRecord = Type.Object({
  registration: Type.Object({
    name: Type.String(),
    vsockPath: Type.String(),
    qmpPath: Type.String(),
    accelerator: Type.String(),
    memoryMiB: Type.Integer(),
    vcpus: Type.Integer(),
  }),
  /** As it was when it was last reached. */
  health: Type.Unsafe<Health>(Type.Object({ instanceId: Type.String(), workMs: Type.Number() })),
  /** The last event of this instance whose effect is on record. */
  lastEvent: Type.Integer(),
  /** Takes no new containers. */
  cordoned: Type.Boolean(),
});
export type GuestRecord = Static<typeof GuestRecord>;

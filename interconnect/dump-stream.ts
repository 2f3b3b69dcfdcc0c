/**
 * A dump's way from the guest to the plane, with flow control of its own. Bulk data from a guest stalls
 * in the vsock daemon unless the receiver acknowledges it, so the guest's half sends at most
 * `windowBytes` that the plane has not acknowledged, and the plane acknowledges what was consumed.
 *
 * Guest to plane: 32 bytes of token, then raw bytes. Plane to guest: frames {u32 kind, u32 bytes},
 * little-endian: ACK (so many more bytes were consumed) and DATA (so many bytes of answer follow). The
 * token is not acknowledged. The guest ends the stream once everything it sent is.
 */
export { acceptDump } from './dump-accept.ts';
export { relayDump } from './dump-relay.ts';

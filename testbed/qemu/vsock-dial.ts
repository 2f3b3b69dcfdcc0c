/**
 * Dialling into a guest through its vsock daemon's Unix socket: `CONNECT <port>`, answered by `OK <port>`.
 */
import { connect, type Socket } from 'node:net';
import { OffloadError } from '../../platform/errors.ts';

/** Connects to a vsock port of a guest; the stream is the caller's from the first byte after the answer. */
export function dialGuest(vsockPath: string, port: number, timeoutMs: number): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect(vsockPath);
    let answer = '';
    const fail = (reason: string) => {
      clearTimeout(timer);
      socket.destroy();
      reject(new OffloadError('guest_lost', `dial vsock port ${port} at ${vsockPath}: ${reason}`));
    };
    const timer = setTimeout(() => fail(`no answer within ${timeoutMs} ms`), timeoutMs);
    const onReadable = () => {
      // Byte by byte: what follows the line belongs to the caller.
      for (let byte = socket.read(1); byte; byte = socket.read(1)) {
        answer += byte.toString('latin1');
        if (answer.length > 64) return fail('the answer is not a line');
        if (answer.endsWith('\n')) return answer.startsWith('OK ') ? succeed() : fail(answer.trim());
      }
    };
    const onEnd = () => fail('nobody listens there');
    const onError = (error: Error) => fail(error.message);
    const succeed = () => {
      clearTimeout(timer);
      socket.off('readable', onReadable).off('close', onEnd).off('error', onError);
      resolve(socket);
    };
    socket.on('readable', onReadable).on('close', onEnd).on('error', onError);
    socket.write(`CONNECT ${port}\n`);
  });
}

/** A program in a container, on a terminal in the page. */
import { useEffect, useRef, useState } from 'preact/hooks';
import { Modal } from './parts.tsx';
import { call, part } from './plane.ts';

const SHELL = '/bin/sh';

export function TerminalDialog({ container, onClose }: { container: string; onClose: () => void }) {
  const [command, setCommand] = useState<string>();
  return (
    <Modal title={`Terminal in ${container}`} wide onClose={onClose}>
      {command === undefined ? (
        <CommandForm onCommand={setCommand} />
      ) : (
        <Session key={command} container={container} command={command} />
      )}
    </Modal>
  );
}

function CommandForm({ onCommand }: { onCommand: (command: string) => void }) {
  const onSubmit = (event: Event) => {
    event.preventDefault();
    onCommand(String(new FormData(event.currentTarget as HTMLFormElement).get('command')));
  };
  return (
    <form class="command" onSubmit={onSubmit}>
      <label>
        Program
        <input name="command" required defaultValue={SHELL} />
      </label>
      <button type="submit" class="strong">
        Open
      </button>
    </form>
  );
}

function Session({ container, command }: { container: string; command: string }) {
  const place = useRef<HTMLDivElement>(null);
  const [state, setState] = useState('starting');
  useEffect(() => {
    let close = () => {};
    let closed = false;
    void (async () => {
      try {
        const { openTerminal } = await import('./terminal-session.ts');
        const create = (size: { columns: number; rows: number }) =>
          call<{ id: string }>('POST', `/v1/containers/${part(container)}/execs`, {
            command: command.trim().split(/\s+/),
            terminal: true,
            openStdin: true,
            ...size,
          });
        if (closed) return;
        close = await openTerminal(place.current!, create, setState);
        if (closed) close();
      } catch (error) {
        setState((error as Error).message);
      }
    })();
    return () => {
      closed = true;
      close();
    };
  }, []);
  return (
    <>
      <div class="screen" ref={place} />
      <p class="facts" role="status">
        <code>{command}</code>: {state}
      </p>
    </>
  );
}

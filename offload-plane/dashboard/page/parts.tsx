/** Small parts that several sections are made of. */
import type { ComponentChildren } from 'preact';
import { useLayoutEffect, useRef, useState } from 'preact/hooks';

const SYMBOLS: Record<string, { symbol: string; tone: string }> = {
  ready: { symbol: '●', tone: 'good' },
  running: { symbol: '●', tone: 'good' },
  complete: { symbol: '✓', tone: 'good' },
  healthy: { symbol: '✓', tone: 'good' },
  restoring: { symbol: '◐', tone: 'busy' },
  checkpointing: { symbol: '◐', tone: 'busy' },
  starting: { symbol: '◐', tone: 'busy' },
  created: { symbol: '○', tone: 'idle' },
  paused: { symbol: '‖', tone: 'warn' },
  cordoned: { symbol: '⊘', tone: 'warn' },
  stopped: { symbol: '■', tone: 'idle' },
  unreachable: { symbol: '◌', tone: 'warn' },
  lost: { symbol: '✕', tone: 'bad' },
  failed: { symbol: '✕', tone: 'bad' },
  unhealthy: { symbol: '✕', tone: 'bad' },
};

/** A state by symbol and word, so that nobody has to tell colours apart. */
export function Phase({ phase, note }: { phase: string; note?: string | undefined }) {
  const { symbol, tone } = SYMBOLS[phase] ?? { symbol: '◌', tone: 'idle' };
  return (
    <span class={`phase ${tone}`}>
      <span aria-hidden="true">{symbol}</span> {phase}
      {note === undefined ? '' : ` ${note}`}
    </span>
  );
}

export function Meter({ label, share, text }: { label: string; share: number; text: string }) {
  return (
    <div class="meter">
      <span>{label}</span>
      <meter
        min={0}
        max={1}
        high={0.9}
        value={Math.min(1, Math.max(0, share))}
        aria-label={`${label}: ${text}`}
      />
      <span class="figure">{text}</span>
    </div>
  );
}

export function Section(props: { id: string; title: string; note?: string; children: ComponentChildren }) {
  const { id, title, note, children } = props;
  return (
    <section id={id} aria-labelledby={`${id}-title`}>
      <h2 id={`${id}-title`}>
        {title} {note === undefined ? null : <small>{note}</small>}
      </h2>
      {children}
    </section>
  );
}

/** A column's name; numbers stand below each other. */
export type Column = string | { number: string };

export function Rows({ columns, children }: { columns: readonly Column[]; children: ComponentChildren }) {
  return (
    <table class="rows">
      <thead>
        <tr>
          {columns.map((column) => {
            const isNumber = typeof column !== 'string';
            const name = isNumber ? column.number : column;
            return (
              <th key={name} scope="col" {...(isNumber ? { class: 'number' } : {})}>
                {name}
              </th>
            );
          })}
        </tr>
      </thead>
      <tbody>{children}</tbody>
    </table>
  );
}

export const Empty = ({ children }: { children: ComponentChildren }) => <p class="empty">{children}</p>;

/** A button that stays pressed while its action is under way. */
export function ActionButton(props: {
  label: string;
  about: string;
  action: () => Promise<unknown>;
  kind?: 'danger';
}) {
  const { label, about, action, kind } = props;
  const [busy, setBusy] = useState(false);
  const onClick = async () => {
    setBusy(true);
    await action().finally(() => setBusy(false));
  };
  return (
    <button
      type="button"
      class={kind}
      aria-label={`${label} ${about}`}
      aria-busy={busy}
      disabled={busy}
      onClick={onClick}
    >
      {label}
    </button>
  );
}

/** A dialog of the browser's own: it keeps the focus, closes on Escape, and gives the focus back. */
export function Modal(props: {
  title: string;
  wide?: boolean;
  onClose: () => void;
  children: ComponentChildren;
}) {
  const { title, wide, onClose, children } = props;
  const dialog = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => {
    dialog.current?.showModal();
  }, []);
  return (
    <dialog ref={dialog} class={wide ? 'wide' : ''} aria-labelledby="dialog-title" onClose={onClose}>
      <header>
        <h2 id="dialog-title">{title}</h2>
        <button type="button" class="quiet" aria-label="Close" onClick={() => dialog.current?.close()}>
          ✕
        </button>
      </header>
      {children}
    </dialog>
  );
}

/** A form in a dialog, which closes when it went well; else it stays and says what was wrong. */
export function FormModal(props: {
  title: string;
  submit: string;
  danger?: boolean;
  /** Gives what was wrong. */
  onSubmit: (form: FormData) => Promise<string | undefined>;
  onClose: () => void;
  children: ComponentChildren;
}) {
  const { title, submit, danger, onSubmit, onClose, children } = props;
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string>();
  const send = async (event: SubmitEvent) => {
    event.preventDefault();
    setBusy(true);
    setProblem(undefined);
    const wrong = await onSubmit(new FormData(event.currentTarget as HTMLFormElement));
    setBusy(false);
    if (wrong === undefined) onClose();
    else setProblem(wrong);
  };
  return (
    <Modal title={title} onClose={onClose}>
      <form onSubmit={send}>
        {children}
        {problem === undefined ? null : (
          <p class="problem" role="alert">
            {problem}
          </p>
        )}
        <footer>
          <button type="button" onClick={onClose}>
            Cancel
          </button>
          <button type="submit" class={danger ? 'danger strong' : 'strong'} disabled={busy} aria-busy={busy}>
            {busy ? 'Working…' : submit}
          </button>
        </footer>
      </form>
    </Modal>
  );
}

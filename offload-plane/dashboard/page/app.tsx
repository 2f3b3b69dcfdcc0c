/** The whole page: where one is, whether the plane answers, and the sections. */
import { useState } from 'preact/hooks';
import { Checkpoints } from './checkpoints.tsx';
import { Containers } from './containers.tsx';
import { Guests } from './guests.tsx';
import { type Connection, type Live, refresh, useLive } from './live.ts';
import { Notices } from './notices.tsx';
import { Operations } from './operations.tsx';
import { Restores } from './restores.tsx';
import { chooseScheme, scheme } from './scheme.ts';
import { setToken, token } from './token.ts';

const SECTIONS = ['guests', 'containers', 'restores', 'checkpoints'] as const;

export function App() {
  const live = useLive();
  return (
    <>
      <a class="skip" href="#content">
        Skip to content
      </a>
      <header class="top">
        <h1>offload-plane</h1>
        {live.connection === 'unauthorized' ? null : (
          <nav aria-label="Sections">
            {SECTIONS.map((name) => (
              <a key={name} href={`#${name}`}>
                {name}
              </a>
            ))}
          </nav>
        )}
        <ConnectionState connection={live.connection} />
        <SchemeSwitch />
      </header>
      <main id="content" tabindex={-1} class={live.connection === 'lost' ? 'stale' : ''}>
        <Content live={live} />
      </main>
      <div class="tray">
        <Operations operations={live.connection === 'live' ? live.operations : []} />
        <Notices />
      </div>
    </>
  );
}

function Content({ live }: { live: Live }) {
  if (live.connection === 'unauthorized') return <TokenForm />;
  if (live.connection === 'loading') return <p class="waiting">Asking the plane…</p>;
  return (
    <>
      <Guests live={live} />
      <Containers live={live} />
      <Restores live={live} />
      <Checkpoints live={live} />
    </>
  );
}

const CONNECTIONS: Record<Connection, { symbol: string; text: string; tone: string }> = {
  loading: { symbol: '◌', text: 'connecting', tone: 'idle' },
  live: { symbol: '●', text: 'live', tone: 'good' },
  lost: { symbol: '✕', text: 'no answer from the plane, trying again', tone: 'bad' },
  unauthorized: { symbol: '⊘', text: 'locked', tone: 'warn' },
};

function ConnectionState({ connection }: { connection: Connection }) {
  const { symbol, text, tone } = CONNECTIONS[connection];
  return (
    <p class={`connection phase ${tone}`} role="status" aria-live="polite" data-connection={connection}>
      <span aria-hidden="true">{symbol}</span> {text}
    </p>
  );
}

function SchemeSwitch() {
  const [shown, setShown] = useState(scheme());
  const other = shown === 'dark' ? 'light' : 'dark';
  const onClick = () => {
    chooseScheme(other);
    setShown(other);
  };
  return (
    <button type="button" class="quiet scheme" onClick={onClick} aria-label={`Use ${other} colours`}>
      {shown === 'dark' ? '☀' : '☾'}
    </button>
  );
}

function TokenForm() {
  const refused = token() !== null;
  const onSubmit = (event: Event) => {
    event.preventDefault();
    setToken(String(new FormData(event.currentTarget as HTMLFormElement).get('token')).trim());
    void refresh();
  };
  return (
    <form class="token" onSubmit={onSubmit}>
      <h2>This plane wants its token</h2>
      <p>It is in the file that the plane was started with (--token-file). It stays in this tab.</p>
      {refused ? (
        <p class="problem" role="alert">
          The plane refused the token it was given.
        </p>
      ) : null}
      <label>
        Token
        <input name="token" type="password" autocomplete="off" required />
      </label>
      <button type="submit" class="strong">
        Open
      </button>
    </form>
  );
}

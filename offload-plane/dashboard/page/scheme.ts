/** Dark or light: the system's choice, until the reader makes one. */
const KEY = 'offload-scheme';
const CHANGED = 'schemechange';

export type Scheme = 'light' | 'dark';

export function scheme(): Scheme {
  const chosen = localStorage.getItem(KEY);
  if (chosen === 'light' || chosen === 'dark') return chosen;
  return matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light';
}

export function applyScheme(): void {
  const chosen = localStorage.getItem(KEY);
  if (chosen !== null) document.documentElement.style.colorScheme = chosen;
}

export function chooseScheme(chosen: Scheme): void {
  localStorage.setItem(KEY, chosen);
  applyScheme();
  document.dispatchEvent(new Event(CHANGED));
}

/** Calls back when the colours have changed; returns what ends that. */
export function onSchemeChange(listener: () => void): () => void {
  const media = matchMedia('(prefers-color-scheme: dark)');
  media.addEventListener('change', listener);
  document.addEventListener(CHANGED, listener);
  return () => {
    media.removeEventListener('change', listener);
    document.removeEventListener(CHANGED, listener);
  };
}

/** A colour of style.css as a canvas takes it, in the present scheme. */
export function colourOf(name: string): string {
  const probe = document.body.appendChild(document.createElement('span'));
  probe.style.color = `var(--${name})`;
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

/**
 * The token the API wants. It comes in the address's fragment, which no server sees, is taken out of the
 * address at once, and is kept as long as the tab.
 */
const KEY = 'offload-token';

export function takeTokenFromAddress(): void {
  const token = new URLSearchParams(location.hash.slice(1)).get('token');
  if (token === null) return;
  setToken(token);
  history.replaceState(null, '', location.pathname + location.search);
}

export const token = (): string | null => sessionStorage.getItem(KEY);

export function setToken(value: string): void {
  sessionStorage.setItem(KEY, value);
}

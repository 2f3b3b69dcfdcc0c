/** Shares over time in the space of a word. Its text says how they range. */
import { percent } from './format.ts';

const WIDTH = 240;
const HEIGHT = 28;

export function Sparkline({ label, shares }: { label: string; shares: readonly number[] }) {
  if (shares.length < 2) return null;
  const step = WIDTH / (shares.length - 1);
  const points = shares.map((share, index) => `${(index * step).toFixed(1)},${y(share)}`).join(' ');
  const range = `${percent(Math.min(...shares))} to ${percent(Math.max(...shares))}`;
  return (
    <svg
      class="sparkline"
      viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={`${label}: ${range}`}
    >
      <polygon points={`0,${HEIGHT} ${points} ${WIDTH},${HEIGHT}`} />
      <polyline points={points} />
    </svg>
  );
}

const y = (share: number) => (HEIGHT - 1 - Math.min(1, Math.max(0, share)) * (HEIGHT - 2)).toFixed(1);

/** How long to wait before the next try: doubles from `first` up to `longest`. */
export function backoff(failures: number, first: number, longest: number): number {
  return Math.min(first * 2 ** Math.max(0, failures - 1), longest);
}

/** Draws from 50 % to 100 % of a wait, so that many clients do not come back at the same moment. */
export function spread(wait: number, random: number): number {
  return wait * (0.5 + random / 2);
}

/** The interval after `last`, which grows by `multiplier` from `interval` to `max`; without `last` it begins anew. */
export function nextInterval(rhythm: Rhythm, last?: number): number {
  if (last === undefined) return rhythm.interval_ms;
  const longest = Math.max(rhythm.max_interval_ms, rhythm.interval_ms);
  const grown = last * (rhythm.multiplier > 1 ? rhythm.multiplier : 1);
  return Math.min(Math.max(grown, rhythm.interval_ms), longest);
}

export interface Rhythm {
  interval_ms: number;
  max_interval_ms: number;
  multiplier: number;
}

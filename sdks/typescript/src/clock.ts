import { uptime } from "node:os";

/** Where two clocks stood at one moment. */
export interface ClockBase {
  steady: number;
  up: number;
}

export function clockBase(): ClockBase {
  return { steady: steady(), up: uptime() * 1000 };
}

/**
 * Milliseconds since the base, on a clock that nobody sets and that also runs while the machine sleeps: leases end during
 * sleep, and timers do not notice. Threads that share a base agree on the moment.
 */
export function elapsed(base: ClockBase): number {
  return Math.max(steady() - base.steady, uptime() * 1000 - base.up);
}

function steady(): number {
  return Number(process.hrtime.bigint() / 1000n) / 1000;
}

/** Resolves after a time, or sooner when the signal fires; never rejects. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, Math.min(ms, 2 ** 31 - 1));
    signal?.addEventListener("abort", done, { once: true });
  });
}

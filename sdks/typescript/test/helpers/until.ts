import { setTimeout } from "node:timers/promises";

const LIMIT_MS = 30_000;
const LOOK_EVERY_MS = 20;

/** Waits until something holds and returns it; fails with what it waited for. */
export async function until<T>(
  what: string,
  look: () => T | Promise<T>,
  limitMs = LIMIT_MS,
): Promise<NonNullable<Exclude<T, false>>> {
  const deadline = performance.now() + limitMs;
  for (;;) {
    const found = await look();
    if (found) return found as NonNullable<Exclude<T, false>>;
    if (performance.now() > deadline) throw new Error(`waited ${limitMs} ms in vain until ${what}`);
    await setTimeout(LOOK_EVERY_MS);
  }
}

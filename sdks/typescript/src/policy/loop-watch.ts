/** Ticks in which the main thread makes no turn before it counts as blocked: five seconds of them. */
const BLOCKED_TICKS = 20;
/** Ticks between two words about the same block: a minute of them. */
const AGAIN_TICKS = 240;
const TICK_MS = 250;

/**
 * Watches whether the main thread's event loop turns. It counts the watcher's own ticks and looks at no clock: when the whole
 * process was frozen, nobody was blocked.
 */
export class LoopWatch {
  private turns = -1;
  private still = 0;

  /** Takes the count of turns, and tells when there is something to say. */
  tick(turns: number): { state: "blocked" | "still blocked" | "free"; forMs: number } | undefined {
    const forMs = this.still * TICK_MS;
    if (turns !== this.turns) {
      const was = this.still >= BLOCKED_TICKS;
      [this.turns, this.still] = [turns, 0];
      return was ? { state: "free", forMs } : undefined;
    }
    this.still += 1;
    if (this.still === BLOCKED_TICKS) return { state: "blocked", forMs: this.still * TICK_MS };
    const again = this.still > BLOCKED_TICKS && (this.still - BLOCKED_TICKS) % AGAIN_TICKS === 0;
    return again ? { state: "still blocked", forMs: this.still * TICK_MS } : undefined;
  }
}

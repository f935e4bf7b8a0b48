/** Renewals come four times per lease. */
const RENEWALS_PER_LEASE = 4;
/** A renewal that failed is tried again this often per lease. */
const TRIES_PER_LEASE = 20;
/** The share of its lease that a worker keeps as a margin: it stops its jobs that much before others may start them. */
const MARGIN_SHARE = 5;

/**
 * Until when a worker may act, by what the server answered. Pure: every moment is given by the caller, in milliseconds of
 * a clock that also runs while the machine sleeps.
 *
 * A lease counts from when its renewal was *sent*: the server's own began no earlier. A shorter lease counts at once, a
 * longer one when it has been answered for as long as the one before lasted, because a database that takes over may not
 * know of it.
 */
export class Lease {
  private longer: { least: number; since: number } | undefined;

  constructor(
    private length: number,
    private sent: number,
  ) {}

  /** How long a lease is counted on. */
  get lengthMs(): number {
    return this.length;
  }

  /** Takes note of a renewal that was sent at this moment and acknowledged with this lease. */
  renewed(sent: number, length: number): void {
    this.sent = Math.max(this.sent, sent);
    if (length <= this.length) {
      this.length = length;
      this.longer = undefined;
      return;
    }
    const { least, since } = this.longer ?? { least: length, since: sent };
    const now = Math.min(least, length);
    if (sent - since >= this.length) {
      this.length = now;
      this.longer = length > now ? { least: length, since: sent } : undefined;
    } else {
      this.longer = { least: now, since };
    }
  }

  /** The moment at which the worker has to have stopped its jobs if no renewal is acknowledged before. */
  actsUntil(): number {
    return this.sent + this.length - this.length / MARGIN_SHARE;
  }

  /** The moment at which others may start its jobs. */
  endsAt(): number {
    return this.sent + this.length;
  }

  /** How long after one renewal was sent the next is to be sent. */
  pause(failing: boolean): number {
    return this.length / (failing ? TRIES_PER_LEASE : RENEWALS_PER_LEASE);
  }
}

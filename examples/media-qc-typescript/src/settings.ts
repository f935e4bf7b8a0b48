/** What the operator of the worker decides, as opposed to who enqueues a job. */
export interface Settings {
  ffmpeg: string;
  ffprobe: string;
  /** Local sources must lie below this folder; without it every path is allowed. */
  mediaRoot: string | undefined;
  /** Whether URLs may point at private, loopback and link-local addresses. */
  privateHosts: boolean;
  downloadLimitBytes: number;
  /** How long a connection may be silent. */
  readTimeoutMs: number;
  probeTimeoutMs: number;
  /** How long ffmpeg may go without decoding anything before it counts as hung. */
  stallTimeoutMs: number;
}

export function settings(env = process.env): Settings {
  return {
    ffmpeg: env.FFMPEG || "ffmpeg",
    ffprobe: env.FFPROBE || "ffprobe",
    mediaRoot: env.MEDIA_ROOT || undefined,
    privateHosts: env.ALLOW_PRIVATE_HOSTS === "true",
    downloadLimitBytes: 2 * 1024 ** 3,
    readTimeoutMs: 30_000,
    probeTimeoutMs: 60_000,
    stallTimeoutMs: Number(env.STALL_TIMEOUT_MS || 60_000),
  };
}

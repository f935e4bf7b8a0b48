/** Asks ffprobe what a file is made of. */
import { Failed, Retry, type Context } from "@jobforge/sdk";
import { run } from "./run.js";
import type { Settings } from "./settings.js";

/**
 * The containers that are opened. A list, because ffmpeg also plays things that read other files or addresses (playlists,
 * scripts): those are no deliverables, and a way around our guards.
 */
const CONTAINERS =
  "aac,ac3,aiff,amr,asf,avi,caf,dv,eac3,flac,flv,gxf,h264,hevc,ivf,m4v,matroska,mov,mp3,mpeg," +
  "mpegts,mpegvideo,mxf,nut,obu,ogg,rm,w64,wav,webm,wv";
const FIELDS =
  "format=format_name,format_long_name,duration,size,bit_rate" +
  ":stream=index,codec_type,codec_name,profile,width,height,pix_fmt,avg_frame_rate,r_frame_rate,sample_rate,channels,channel_layout,duration" +
  ":stream_disposition=attached_pic";
const ANSWER_LIMIT = 4 * 1024 * 1024;

export interface VideoStream {
  index: number;
  codec: string;
  profile: string | null;
  width: number;
  height: number;
  frame_rate: number | null;
  pixel_format: string | null;
  duration_s: number | null;
}

export interface AudioStream {
  index: number;
  codec: string;
  channels: number;
  layout: string | null;
  sample_rate_hz: number | null;
  duration_s: number | null;
}

export interface MediaFacts {
  container: string;
  container_name: string;
  size_bytes: number;
  duration_s: number | null;
  bit_rate: number | null;
  video: VideoStream[];
  audio: AudioStream[];
}

/** The arguments that open a path, and nothing but that. */
export function input(path: string): string[] {
  // `file:` keeps names with a colon or a leading dash from being read as an address or an option.
  return ["-protocol_whitelist", "file", "-format_whitelist", CONTAINERS, "-i", `file:${path}`];
}

export async function probe(path: string, name: string, settings: Settings, { signal }: Context): Promise<MediaFacts> {
  let answer = "";
  const errors: string[] = [];
  const code = await run({
    program: settings.ffprobe,
    args: ["-hide_banner", "-v", "error", "-of", "json", "-show_entries", FIELDS, ...input(path)],
    signal,
    patienceMs: settings.probeTimeoutMs,
    onLine: (from, line) => {
      if (from === "stdout" && answer.length < ANSWER_LIMIT) answer += line;
      if (from === "stderr" && errors.length < 20) errors.push(line);
    },
  });
  if (code !== 0) throw refusal(name, code, errors);
  const facts = parse(answer);
  if (facts.video.length + facts.audio.length === 0)
    throw new Failed(`${name} has no audio or video stream`, { kind: "no_streams" });
  return facts;
}

/** How long the streams that are decoded should last: by themselves, or else by the container. */
export function expectedSeconds({ video, audio, duration_s }: MediaFacts): number | undefined {
  const decoded = [video[0], audio[0]].filter((stream) => stream !== undefined);
  const known = decoded.map((stream) => stream.duration_s).filter((seconds) => seconds !== null);
  return known.length === decoded.length ? Math.max(...known) : (duration_s ?? undefined);
}

function refusal(name: string, code: number, errors: string[]): Error {
  const said = (...texts: string[]) => errors.some((line) => texts.some((text) => line.includes(text)));
  if (said("partial file", "File ended prematurely")) {
    return new Failed(`${name} is truncated: it ends inside its header`, { kind: "truncated_media" });
  }
  if (said("Invalid data found", "moov atom not found", "not on whitelist")) {
    return new Failed(`${name} is not a media file: ffprobe finds no known container in it`, { kind: "not_media" });
  }
  const message = `ffprobe ended with exit code ${code}: ${errors.at(-1) ?? ""}`;
  return new Retry(message, { kind: "tool_failed", details: { stderr: errors } });
}

interface Answer {
  streams?: (Record<string, string | undefined> & {
    index: number;
    width?: number;
    height?: number;
    channels?: number;
    disposition?: { attached_pic?: number };
  })[];
  format: Record<string, string | undefined>;
}

/** Reads ffprobe's answer. */
export function parse(json: string): MediaFacts {
  const { streams = [], format } = JSON.parse(json) as Answer;
  // The cover of an album is no picture stream: it would count as one endless freeze.
  const video = streams.filter((stream) => stream.codec_type === "video" && !stream.disposition?.attached_pic);
  const audio = streams.filter((stream) => stream.codec_type === "audio");
  return {
    container: format.format_name ?? "",
    container_name: format.format_long_name ?? "",
    size_bytes: Number(format.size ?? 0),
    duration_s: seconds(format.duration),
    bit_rate: format.bit_rate === undefined ? null : Number(format.bit_rate),
    video: video.map((stream) => ({
      index: stream.index,
      codec: stream.codec_name ?? "unknown",
      profile: stream.profile ?? null,
      width: stream.width ?? 0,
      height: stream.height ?? 0,
      frame_rate: ratio(stream.avg_frame_rate) ?? ratio(stream.r_frame_rate),
      pixel_format: stream.pix_fmt ?? null,
      duration_s: seconds(stream.duration),
    })),
    audio: audio.map((stream) => ({
      index: stream.index,
      codec: stream.codec_name ?? "unknown",
      channels: stream.channels ?? 0,
      layout: stream.channel_layout ?? null,
      sample_rate_hz: stream.sample_rate === undefined ? null : Number(stream.sample_rate),
      duration_s: seconds(stream.duration),
    })),
  };
}

function seconds(text: string | undefined): number | null {
  const value = Number(text);
  return Number.isFinite(value) && value > 0 ? value : null;
}

function ratio(text: string | undefined): number | null {
  const [above, below] = (text ?? "").split("/").map(Number);
  const value = (above ?? NaN) / (below ?? NaN);
  return Number.isFinite(value) && value > 0 ? Math.round(value * 1000) / 1000 : null;
}

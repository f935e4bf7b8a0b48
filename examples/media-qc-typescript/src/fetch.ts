/** Brings the source within reach: checks a local path, or downloads a URL to a temporary file. */
import { createWriteStream } from "node:fs";
import { access, constants, mkdtemp, realpath, rm, stat } from "node:fs/promises";
import * as http from "node:http";
import * as https from "node:https";
import { isIP } from "node:net";
import { tmpdir } from "node:os";
import { isAbsolute, join, resolve, sep } from "node:path";
import { pipeline } from "node:stream/promises";
import { Failed, Retry, type Context } from "@jobforge/sdk";
import { isPublic, PrivateAddress, publicOnly } from "./guard.js";
import { labelOf, type Source } from "./payload.js";
import type { Settings } from "./settings.js";

const REDIRECTS = 5;
const LONGEST_RETRY_AFTER_S = 3600;
const REPORT_EVERY_BYTES = 1024 * 1024;
/** Types that are surely no media; many servers send films as text/plain or octet-stream. */
const NO_MEDIA = ["text/html", "application/xhtml+xml", "application/json", "application/pdf"];

/** A file within reach; a download is deleted when this is disposed. */
export interface Fetched extends AsyncDisposable {
  path: string;
  bytes: number;
  how: "found" | "downloaded";
}

export function fetchSource(source: Source, settings: Settings, ctx: Context): Promise<Fetched> {
  return "path" in source ? find(source.path, settings) : download(source.url, settings, ctx);
}

async function find(path: string, { mediaRoot }: Settings): Promise<Fetched> {
  const wanted = resolve(mediaRoot ?? "", path);
  // Links are resolved before the comparison: one below the root may point out of it.
  const found = await realpath(wanted).catch((error: NodeJS.ErrnoException) => error);
  if (mediaRoot !== undefined) {
    const root = (await realpath(mediaRoot)) + sep;
    // Whether something outside exists is nobody's business either.
    const below = typeof found === "string" ? found.startsWith(root) : staysBelow(path, root);
    if (!below) throw new Failed(`${path} is not below this worker's MEDIA_ROOT`, { kind: "path_not_allowed" });
  }
  if (typeof found !== "string") throw refused(path, found);
  const facts = await stat(found).catch((error: NodeJS.ErrnoException) => Promise.reject(refused(path, error)));
  // Before it is opened: a pipe without a writer would block for ever.
  if (!facts.isFile()) throw new Failed(`${path} is not a regular file`, { kind: "not_a_file" });
  if (facts.size === 0) throw empty(path);
  await access(found, constants.R_OK).catch((error: NodeJS.ErrnoException) => Promise.reject(refused(path, error)));
  return { path: found, bytes: facts.size, how: "found", [Symbol.asyncDispose]: async () => {} };
}

function staysBelow(path: string, root: string): boolean {
  return !path.split(sep).includes("..") && (!isAbsolute(path) || path.startsWith(root));
}

function refused(path: string, error: NodeJS.ErrnoException): Error {
  if (error.code === "ENOENT" || error.code === "ENOTDIR")
    return new Failed(`${path} does not exist on this worker`, { kind: "file_not_found" });
  if (error.code === "EACCES")
    return new Failed(`${path} cannot be read: permission denied`, { kind: "permission_denied" });
  return new Retry(`failed to open the file: ${error.message}`, { kind: "local_io", cause: error });
}

const empty = (name: string) => new Failed(`${name} is empty (0 bytes)`, { kind: "empty_file" });

async function download(url: URL, settings: Settings, ctx: Context): Promise<Fetched> {
  const name = labelOf({ url });
  const response = await open(url, settings, ctx.signal).catch((error: unknown) =>
    Promise.reject(networkFault(name, error, ctx)),
  );
  judgeHead(response, name, settings.downloadLimitBytes);
  const folder = await mkdtemp(join(tmpdir(), "media-qc-"));
  const dispose = () => rm(folder, { recursive: true, force: true });
  try {
    const path = join(folder, "download");
    const bytes = await store(response, path, name, settings, ctx);
    if (bytes === 0) throw empty(name);
    return { path, bytes, how: "downloaded", [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await dispose();
    throw networkFault(name, error, ctx);
  }
}

async function open(url: URL, settings: Settings, signal: AbortSignal, redirects = 0): Promise<http.IncomingMessage> {
  const literal = url.hostname.replace(/^\[|\]$/g, "");
  // A host that is an address never reaches the resolver.
  if (!settings.privateHosts && isIP(literal) && !isPublic(literal)) throw new PrivateAddress(literal);
  const response = await new Promise<http.IncomingMessage>((resolve, reject) => {
    const get = url.protocol === "https:" ? https.get : http.get;
    const guard = settings.privateHosts ? {} : { lookup: publicOnly };
    const request = get(url, { ...guard, signal, timeout: settings.readTimeoutMs }, resolve);
    request.on("timeout", () => request.destroy(new Error(`silent for ${settings.readTimeoutMs} ms`)));
    request.on("error", reject);
  });
  const {
    statusCode = 0,
    headers: { location },
  } = response;
  if (statusCode < 300 || statusCode > 399 || !location) return response;
  response.destroy();
  const next = URL.canParse(location, url.href) ? new URL(location, url) : undefined;
  if (!next || !/^https?:$/.test(next.protocol) || redirects === REDIRECTS) {
    const message = `${labelOf({ url })} redirects too often or to an address that is neither http nor https`;
    throw new Failed(message, { kind: "bad_redirect" });
  }
  return open(next, settings, signal, redirects + 1);
}

function judgeHead({ statusCode: status = 0, headers }: http.IncomingMessage, name: string, limit: number): void {
  if (status < 200 || status > 299) {
    const passing = status >= 500 || [408, 425, 429].includes(status);
    if (!passing) throw new Failed(`${name} answered ${status}`, { kind: "http_refused" });
    const seconds = Number.parseInt(headers["retry-after"] ?? "", 10);
    const wait = Number.isNaN(seconds) ? {} : { afterMs: Math.min(seconds, LONGEST_RETRY_AFTER_S) * 1000 };
    throw new Retry(`${name} answered ${status}`, { kind: "http_unavailable", ...wait });
  }
  const type = headers["content-type"]?.split(";")[0]?.trim().toLowerCase() ?? "";
  if (NO_MEDIA.includes(type))
    throw new Failed(`${name} is not a media file: the server sent ${type}`, { kind: "not_media" });
  if (Number(headers["content-length"]) > limit) throw tooLarge(name, limit);
}

const tooLarge = (name: string, limit: number) =>
  new Failed(`${name} is larger than the limit of ${limit} bytes`, { kind: "too_large" });

async function store(
  response: http.IncomingMessage,
  path: string,
  name: string,
  { downloadLimitBytes: limit }: Settings,
  ctx: Context,
): Promise<number> {
  const expected = Number(response.headers["content-length"]) || undefined;
  let bytes = 0;
  let told = 0;
  const counted = async function* (parts: AsyncIterable<Buffer>) {
    for await (const part of parts) {
      bytes += part.length;
      // Counted as it arrives, since a server may announce no length or a wrong one.
      if (bytes > limit) throw tooLarge(name, limit);
      if (bytes - told > REPORT_EVERY_BYTES) {
        told = bytes;
        await ctx.progress(15 + (expected ? (5 * bytes) / expected : 0), `downloaded ${mebibytes(bytes)}`);
      }
      yield part;
    }
  };
  await pipeline(response, counted, createWriteStream(path), { signal: ctx.signal });
  return bytes;
}

function networkFault(name: string, error: unknown, { signal }: Context): unknown {
  if (signal.aborted) return signal.reason;
  if (error instanceof PrivateAddress) {
    const message = `${name} leads to a private address; the operator can allow that with ALLOW_PRIVATE_HOSTS=true`;
    return new Failed(message, { kind: "host_not_allowed" });
  }
  if (error instanceof Failed || error instanceof Retry) return error;
  return new Retry(`failed to download ${name}: ${(error as Error).message}`, { kind: "network", cause: error });
}

export function mebibytes(bytes: number): string {
  return `${(bytes / 1024 ** 2).toFixed(1)} MiB`;
}

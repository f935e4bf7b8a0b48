import * as http from "node:http";
import * as https from "node:https";
import { ApiError, ConnectionError, JobForgeError } from "./errors.js";
import type { Connection } from "./settings.js";
import { version } from "./version.js";
import type { Problem } from "./wire.js";

/** How long an answer may take. */
export const ANSWER_TIME_MS = 15_000;
/** Connections that are open at once; more requests wait for one. */
const CONNECTIONS = 32;
/** Idle connections are closed before the server does it after 15 s: a request that it closes on may be lost or not. */
const IDLE_MS = 10_000;

export interface RequestOptions {
  /** Bound on the time from sending to the end of the answer. */
  timeoutMs?: number;
  signal?: AbortSignal;
  headers?: Record<string, string>;
}

/**
 * HTTP/1.1 to one server, over TCP or a Unix socket, with connections that are kept open. Of `node:http` and not `fetch`,
 * which costs twice the time per call and cannot be told to use a Unix socket.
 */
export class Transport {
  private readonly agent: http.Agent;
  private readonly send: typeof http.request;
  private readonly target: http.RequestOptions;
  private readonly basePath: string;

  constructor(private readonly connection: Connection) {
    const { url } = connection;
    if (url.startsWith("unix:")) {
      this.target = { socketPath: url.slice("unix:".length).replace(/^\/\/(?=\/)/, ""), host: "localhost" };
      this.basePath = "";
      this.send = http.request;
      this.agent = new http.Agent({ keepAlive: true, maxSockets: CONNECTIONS, timeout: IDLE_MS });
      return;
    }
    const parsed = parse(url);
    const secure = parsed.protocol === "https:";
    this.target = { host: parsed.hostname.replace(/^\[|\]$/g, ""), port: parsed.port || (secure ? 443 : 80) };
    this.basePath = parsed.pathname.replace(/\/+$/, "");
    this.send = secure ? https.request : http.request;
    this.agent = new (secure ? https.Agent : http.Agent)({
      keepAlive: true,
      maxSockets: CONNECTIONS,
      timeout: IDLE_MS,
    });
  }

  /** Sends a request and reads its answer as JSON; an empty one is `undefined`. */
  async call<Answer>(method: string, path: string, body?: unknown, options: RequestOptions = {}): Promise<Answer> {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const answer = await this.exchange(method, path, text, options);
    const call = `${method} ${path.split("?")[0]}`;
    if (answer.status < 200 || answer.status > 299) throw refusal(call, answer);
    if (!answer.body) return undefined as Answer;
    try {
      return JSON.parse(answer.body) as Answer;
    } catch (cause) {
      throw new ConnectionError(
        `${call}: the answer is no JSON; is ${this.connection.url} a JobForge server?`,
        true,
        cause,
      );
    }
  }

  /** Asks for a text as it is. */
  async text(path: string, options: RequestOptions = {}): Promise<string> {
    const answer = await this.exchange("GET", path, undefined, options);
    if (answer.status < 200 || answer.status > 299) throw refusal(`GET ${path}`, answer);
    return answer.body;
  }

  /** Opens a stream of server-sent events and resolves with its body once the server has accepted. */
  async stream(path: string, signal: AbortSignal): Promise<http.IncomingMessage> {
    const call = `GET ${path.split("?")[0]}`;
    const response = await new Promise<http.IncomingMessage>((resolve, reject) => {
      const request = this.send({
        ...this.target,
        agent: false,
        method: "GET",
        path: this.basePath + path,
        headers: { ...this.headers(), accept: "text/event-stream" },
        signal,
      });
      request.setTimeout(ANSWER_TIME_MS, () => request.destroy(new Error("the stream is silent")));
      request.on("response", resolve);
      request.on("error", (cause) => reject(this.broken(call, true, cause)));
      request.end();
    });
    if (response.statusCode === 200) return response;
    const body = await text(response);
    throw refusal(call, { status: response.statusCode ?? 0, headers: response.headers, body });
  }

  /** Closes the connections that are idle. */
  close(): void {
    this.agent.destroy();
  }

  private exchange(method: string, path: string, body: string | undefined, options: RequestOptions): Promise<Answer> {
    const call = `${method} ${path.split("?")[0]}`;
    return new Promise((resolve, reject) => {
      let written = false;
      const request = this.send({
        ...this.target,
        agent: this.agent,
        method,
        path: this.basePath + path,
        headers: {
          ...this.headers(),
          ...options.headers,
          ...(body === undefined
            ? {}
            : { "content-type": "application/json", "content-length": Buffer.byteLength(body) }),
        },
        ...(options.signal ? { signal: options.signal } : {}),
      });
      let timer: NodeJS.Timeout | undefined;
      // Counted from when there is a connection: waiting for one of many says nothing about the server.
      request.once("socket", (socket) => {
        const limit = options.timeoutMs ?? ANSWER_TIME_MS;
        timer = setTimeout(() => request.destroy(new Error(`no answer within ${limit} ms`)), limit);
        if (!socket.connecting) written = true;
        else socket.once("connect", () => (written = true));
      });
      request.once("response", (response) => {
        text(response).then(
          (answer) => {
            clearTimeout(timer);
            resolve({ status: response.statusCode ?? 0, headers: response.headers, body: answer });
          },
          (cause) => {
            clearTimeout(timer);
            reject(this.broken(call, true, cause));
          },
        );
      });
      request.once("error", (cause: NodeJS.ErrnoException) => {
        clearTimeout(timer);
        reject(this.broken(call, written, cause));
      });
      request.end(body);
    });
  }

  private headers(): Record<string, string> {
    const { token } = this.connection;
    return {
      "user-agent": `jobforge-typescript/${version}`,
      "jobforge-protocol": "1",
      ...(token ? { authorization: `Bearer ${token}` } : {}),
    };
  }

  private broken(call: string, sent: boolean, cause: unknown): ConnectionError {
    const why = cause instanceof Error ? cause.message || (cause as NodeJS.ErrnoException).code : String(cause);
    const hint = sent ? "" : "; is the server running there? Set JOBFORGE_URL, or start one with `jobforge up`";
    return new ConnectionError(`${call} at ${this.connection.url}: ${why}${hint}`, sent, cause);
  }
}

interface Answer {
  status: number;
  headers: http.IncomingHttpHeaders;
  body: string;
}

async function text(response: http.IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  for await (const part of response) parts.push(part as Buffer);
  return Buffer.concat(parts).toString("utf8");
}

function refusal(call: string, { status, headers, body }: Answer): ApiError {
  let problem: Partial<Problem> = {};
  try {
    problem = JSON.parse(body) as Partial<Problem>;
  } catch {
    // Something between us and the server has answered; its status says enough.
  }
  const seconds = Number(headers["retry-after"]);
  const retryAfterMs = Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : undefined;
  const requestId = headers["x-request-id"];
  return new ApiError(call, status, problem, Array.isArray(requestId) ? requestId[0] : requestId, retryAfterMs);
}

function parse(url: string): URL {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (parsed && (parsed.protocol === "http:" || parsed.protocol === "https:")) return parsed;
  throw new JobForgeError(
    `"${url}" is no address of a server; give http://host:port, https://host or unix:/path/jobforge.sock`,
  );
}

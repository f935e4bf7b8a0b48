import * as http from "node:http";
import { once } from "node:events";
import type { AddressInfo } from "node:net";

/** What becomes of a request: it passes, its answer is lost on the way, or it does not arrive. */
export type Fate = "pass" | "lose answer" | "drop";

/** An HTTP proxy in front of a server that loses what a test wants it to lose. */
export class Proxy {
  /** Decides what becomes of each request. */
  fate: (path: string) => Fate | Promise<Fate> = () => "pass";
  /** The paths of the requests that came, with their bodies. */
  readonly seen: { path: string; body: Record<string, unknown>; answer?: Record<string, unknown> }[] = [];
  private readonly server: http.Server;

  private constructor(private readonly target: string) {
    this.server = http.createServer((request, response) => void this.pass(request, response));
  }

  static async before(target: string): Promise<Proxy> {
    const proxy = new Proxy(target);
    proxy.server.listen(0, "127.0.0.1");
    await once(proxy.server, "listening");
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  of(call: string): typeof this.seen {
    return this.seen.filter(({ path }) => path.startsWith(`/v1/worker/${call}`));
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, "close");
  }

  private async pass(request: http.IncomingMessage, response: http.ServerResponse): Promise<void> {
    const path = request.url ?? "/";
    const body = await read(request);
    const entry: (typeof this.seen)[number] = { path, body: body ? (JSON.parse(body) as Record<string, unknown>) : {} };
    this.seen.push(entry);
    const fate = await this.fate(path);
    if (fate === "drop") return void response.destroy();
    const address = addressOf(this.target, path);
    const answered = http.request({ ...address, method: request.method ?? "GET", headers: request.headers });
    response.on("close", () => answered.destroy());
    answered.on("error", () => response.destroy());
    answered.on("response", (answer) => {
      if (path.includes("/signals")) {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
        return;
      }
      void read(answer).then((text) => {
        if (text.startsWith("{")) entry.answer = JSON.parse(text) as Record<string, unknown>;
        if (fate === "lose answer") return void response.destroy();
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        return void response.end(text);
      });
    });
    answered.end(body);
  }
}

async function read(stream: http.IncomingMessage): Promise<string> {
  const parts: Buffer[] = [];
  try {
    for await (const part of stream) parts.push(part as Buffer);
  } catch {
    // It was cut off; what came is what there is.
  }
  return Buffer.concat(parts).toString("utf8");
}

function addressOf(target: string, path: string): http.RequestOptions {
  if (target.startsWith("unix:")) return { socketPath: target.slice("unix:".length), path };
  const { hostname, port } = new URL(target);
  return { hostname, port, path };
}

// Guildhall's demo and the product, each its own process, in a folder that is gone when the tests are over.

import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

// Compiled, this file is in .test.
const here = fileURLToPath(new URL("..", import.meta.url));

/** binary is Guildhall; npm test builds it where nobody names another. */
const binary = process.env["GUILDHALL_BIN"] || join(here, ".test/guildhall");

/** Member is a person of the demo, with a session. */
export interface Member {
  readonly role: string;
  readonly member: string;
  readonly user: string;
  readonly email: string;
  readonly token: string;
}

/** Organization is one of the demo's. */
export interface Organization {
  readonly id: string;
  readonly slug: string;
  readonly members: readonly Member[];
}

/** Told is the line that the demo prints. */
export interface Told {
  readonly url: string;
  readonly service_key: string;
  readonly organizations: readonly Organization[];
}

/** Answer is what a request was answered. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: any;
}

/** World is the two servers. */
export class World {
  readonly #data: string;
  readonly #processes: ChildProcess[] = [];
  demo!: Told;
  product!: string;

  private constructor(data: string) {
    this.#data = data;
  }

  static async start(): Promise<World> {
    const world = new World(await mkdtemp(join(tmpdir(), "guildhall-documents-")));
    try {
      await world.#begin();
    } catch (error) {
      await world.stop();
      throw error;
    }
    return world;
  }

  async #begin(): Promise<void> {
    const demo = ["demo", "--charter", "documents", "--json", "--addr", "127.0.0.1:0", "--data", join(this.#data, "guildhall")];
    this.demo = JSON.parse(await this.#run(binary, demo, {})) as Told;
    const product = [join(here, "dist/main.js"), "--json", "--port", "0", "--data", join(this.#data, "product")];
    const env = { GUILDHALL_URL: this.demo.url, GUILDHALL_SERVICE_KEY: this.demo.service_key };
    this.product = (JSON.parse(await this.#run(process.execPath, product, env)) as { url: string }).url;
  }

  /** run starts a program and gives its first line. */
  async #run(program: string, args: readonly string[], env: Record<string, string>): Promise<string> {
    const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"] });
    this.#processes.push(child);
    let log = "";
    child.stderr.setEncoding("utf8").on("data", (text: string) => (log += text));
    const lines = createInterface({ input: child.stdout });
    return new Promise((resolve, reject) => {
      lines.once("line", resolve);
      child.once("error", reject);
      child.once("exit", (code) => reject(new Error(`${program} ended with ${code} before its line: ${log}`)));
    });
  }

  async stop(): Promise<void> {
    for (const child of this.#processes.reverse()) {
      if (child.exitCode === null && child.pid !== undefined) {
        child.kill("SIGTERM");
        await once(child, "exit");
      }
    }
    await rm(this.#data, { recursive: true, force: true });
  }

  organization(slug: string): Organization {
    return found(this.demo.organizations.find((o) => o.slug === slug), slug);
  }

  member(slug: string, role: string): Member {
    return found(this.organization(slug).members.find((m) => m.role === role), role);
  }

  /** guildhall calls an operation of Guildhall as somebody. */
  guildhall(credential: string, method: string, path: string, body?: object): Promise<Answer> {
    return send(this.demo.url + path, { credential }, method, body);
  }

  /** product sends a request to the product as somebody, where said in one of their organizations. */
  call(who: Caller, method: string, path: string, body?: object): Promise<Answer> {
    return send(this.product + path, who, method, body);
  }
}

/** Caller is a credential, and the organization that the request says it is for. */
export interface Caller {
  readonly credential: string;
  readonly organization?: string | undefined;
}

async function send(url: string, who: Caller, method: string, body?: object): Promise<Answer> {
  const headers = new Headers({ Authorization: `Bearer ${who.credential}` });
  if (who.organization) {
    headers.set("Organization", who.organization);
  }
  if (body) {
    headers.set("Content-Type", "application/json");
  }
  const answer = await fetch(url, { method, headers, ...(body && { body: JSON.stringify(body) }) });
  const text = await answer.text();
  return { status: answer.status, headers: answer.headers, body: text ? JSON.parse(text) : undefined };
}

/** found is a value that has to be there. */
export function found<T>(value: T | undefined, name: string): T {
  if (value === undefined) {
    throw new Error(`the demo has no ${name}`);
  }
  return value;
}

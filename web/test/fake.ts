// A small server that speaks Guildhall's wire: AuthZEN evaluations and introspection. It is strict about what it is sent.

import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export const serviceKey = "gld_svc_fake";

/** Known is a credential that the fake knows: what it may do, and where. */
interface Known {
  readonly organization: string;
  readonly permissions: readonly string[];
}

interface Evaluation {
  readonly subject: { readonly type: string; readonly id: string };
  readonly action: { readonly name: string };
  readonly resource: { readonly type: string; readonly id: string; readonly properties?: { readonly organization?: string } };
  readonly context?: { readonly address?: string };
}

interface Batch {
  readonly evaluations: readonly Evaluation[];
  readonly options: { readonly evaluations_semantic: string };
}

/** Fake is the server, with what it was asked. */
export class Fake {
  readonly credentials = new Map<string, Known>();
  readonly asked: { path: string; body: unknown; headers: IncomingMessage["headers"] }[] = [];
  /** What the next requests are answered instead. */
  readonly instead: ((res: ServerResponse) => void)[] = [];
  readonly #server: Server;

  private constructor() {
    this.#server = createServer((req, res) => void this.#serve(req, res));
  }

  static async start(): Promise<Fake> {
    const fake = new Fake();
    await new Promise<void>((resolve) => fake.#server.listen(0, "127.0.0.1", resolve));
    return fake;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #serve(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const parts: Buffer[] = [];
    for await (const part of req) {
      parts.push(part as Buffer);
    }
    const body = JSON.parse(Buffer.concat(parts).toString()) as unknown;
    this.asked.push({ path: req.url ?? "", body, headers: req.headers });
    res.setHeader("Request-Id", "req_1");
    const instead = this.instead.shift();
    if (instead) {
      instead(res);
    } else if (req.headers.authorization !== `Bearer ${serviceKey}` || req.headers["content-type"] !== "application/json") {
      problem(res, { status: 401, code: "unauthenticated", title: "Unauthorized", detail: "not signed in" });
    } else {
      json(res, 200, this.#answer(req.url ?? "", body));
    }
  }

  #answer(path: string, body: unknown): unknown {
    switch (path) {
      case "/access/v1/evaluation":
        return this.#decide(body as Evaluation);
      case "/access/v1/evaluations":
        return { evaluations: this.#decideAll(body as Batch) };
      case "/v1/credentials/introspect":
        return this.#introspect((body as { credential: string }).credential);
    }
    throw new Error(`the fake has no ${path}`);
  }

  #decide({ subject, action, resource }: Evaluation): { decision: boolean; context: object } {
    const known = subject.type === "credential" ? this.credentials.get(subject.id) : undefined;
    if (!known) {
      return { decision: false, context: { reason: "unknown_subject", needs: action.name } };
    }
    const organization = resource.type === "organization" ? resource.id : resource.properties?.organization;
    if (organization && organization !== known.organization) {
      return { decision: false, context: { reason: "not_a_member", needs: action.name } };
    }
    if (!known.permissions.includes(action.name)) {
      return { decision: false, context: { reason: "no_permission", needs: action.name, fix_url: "http://guildhall.test/fix" } };
    }
    return { decision: true, context: { reason: "role", organization: known.organization, kind: "key" } };
  }

  #decideAll({ evaluations, options }: Batch): object[] {
    const answers = [];
    for (const e of evaluations) {
      const answer = this.#decide(e);
      answers.push(answer);
      if (options.evaluations_semantic === (answer.decision ? "permit_on_first_permit" : "deny_on_first_deny")) {
        break;
      }
    }
    return answers;
  }

  #introspect(secret: string): object {
    const known = this.credentials.get(secret);
    return known ? { active: true, kind: "key", id: "key_1", ...known } : { active: false };
  }
}

/** json answers with a value. */
export function json(res: ServerResponse, status: number, value: unknown, type = "application/json"): void {
  res.writeHead(status, { "Content-Type": type }).end(JSON.stringify(value));
}

/** problem answers with an error. */
export function problem(res: ServerResponse, p: { status: number; code: string; title: string; detail: string }): void {
  json(res, p.status, { ...p, request_id: "req_1" }, "application/problem+json");
}

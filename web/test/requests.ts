// What is sent to a protected route, and what has to come of it: the same for every framework.

import assert from "node:assert/strict";

import type { Fake } from "./fake.js";
import { problem } from "./fake.js";

/** Case is a request with its Authorization headers, and the answer. */
export interface Case {
  readonly name: string;
  readonly authorization: readonly string[];
  readonly path?: string;
  readonly before?: (fake: Fake) => void;
  readonly status: number;
  readonly challenge?: string;
  readonly told?: Readonly<Record<string, unknown>>;
}

const busy = { status: 503, code: "unavailable", title: "Service Unavailable", detail: "the database is down" };
const wrongKey = { status: 401, code: "unauthenticated", title: "Unauthorized", detail: "the service key is gone" };
const refused = { status: 401, challenge: "Bearer", told: { code: "unauthenticated" } };

/** T-047, T-106: what is no single, living credential, and what could not be asked, is refused. */
export const cases: readonly Case[] = [
  { name: "a key that may", authorization: ["Bearer key-of-acme"], status: 200 },
  { name: "the scheme in small letters", authorization: ["bearer key-of-acme"], status: 200 },
  { name: "no credential", authorization: [], ...refused },
  { name: "another scheme", authorization: ["Basic key-of-acme"], ...refused },
  { name: "no scheme", authorization: ["key-of-acme"], ...refused },
  { name: "an empty credential", authorization: ["Bearer "], ...refused },
  { name: "a credential with a space", authorization: ["Bearer key-of-acme x"], ...refused },
  { name: "two credentials in one header", authorization: ["Bearer key-of-acme, Bearer key-of-acme"], ...refused },
  { name: "two headers", authorization: ["Bearer key-of-acme", "Bearer key-of-acme"], ...refused },
  { name: "a credential in the query", authorization: [], path: "/pipelines/p_1?access_token=key-of-acme", ...refused },
  { name: "a credential that nobody knows", authorization: ["Bearer unknown"], status: 401, challenge: 'Bearer error="invalid_token"' },
  {
    name: "a key that may not",
    authorization: ["Bearer key-without"],
    status: 403,
    told: { code: "denied", needs: "pipelines.use", reason: "no_permission", fix_url: "http://guildhall.test/fix", request_id: "req_1" },
  },
  {
    name: "a key of another organization",
    authorization: ["Bearer key-of-globex"],
    status: 403,
    told: { code: "denied", reason: "not_a_member" },
  },
  {
    name: "no answer",
    authorization: ["Bearer key-of-acme"],
    before: (fake) => fake.instead.push(...Array.from({ length: 3 }, () => (res: Parameters<typeof problem>[0]) => problem(res, busy))),
    status: 503,
    told: { code: "unavailable", detail: "access cannot be checked now" },
  },
  {
    name: "a service key that is gone is the product's fault, not the caller's",
    authorization: ["Bearer key-of-acme"],
    before: (fake) => fake.instead.push((res) => problem(res, wrongKey)),
    status: 503,
  },
];

/** knows gives the fake the credentials of the cases. */
export function knows(fake: Fake): void {
  fake.credentials.set("key-of-acme", { organization: "acme", permissions: ["pipelines.use"] });
  fake.credentials.set("key-without", { organization: "acme", permissions: [] });
  fake.credentials.set("key-of-globex", { organization: "globex", permissions: ["pipelines.use"] });
}

/** Got is an answer, however it was read. */
export interface Got {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

/** verify compares an answer with what a case wants. Only a yes reaches the route, which says the decision. */
export function verify(c: Case, got: Got): void {
  assert.equal(got.status, c.status, got.text);
  const body = JSON.parse(got.text) as Record<string, unknown>;
  if (c.status === 200) {
    assert.deepEqual(body, { pipeline: "p_1", organization: "acme" });
    return;
  }
  assert.equal(got.headers.get("Content-Type"), "application/problem+json");
  assert.equal(got.headers.get("Cache-Control"), "no-store");
  assert.equal(got.headers.get("WWW-Authenticate"), c.challenge ?? null);
  assert.equal(got.headers.has("Retry-After"), c.status === 503);
  assert.equal(body["status"], c.status);
  for (const [name, want] of Object.entries(c.told ?? {})) {
    assert.deepEqual(body[name], want, name);
  }
  assert.doesNotMatch(got.text, /database|service key|key-of/);
}

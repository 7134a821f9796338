import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { World } from "./world.js";
import type { Answer } from "./world.js";

let world: World;
before(async () => {
  world = await World.start();
});
after(() => world.stop());

/** What the charter lets organization keys do, each with a request; and what it does not. */
const requests: [permission: string, method: string, path: string, body?: object][] = [
  ["api.call", "POST", "/api/extract", { pipeline: "none", text: "x" }], // there is no such pipeline: 404 once it is let in
  ["pipelines.use", "GET", "/api/pipelines"],
  ["processors.use", "GET", "/api/processors"],
  ["files.use", "GET", "/api/files"],
  ["usage.view", "GET", "/api/usage"],
  ["logs.view", "GET", "/api/logs"],
];
const all = ["api.call", "pipelines.use", "processors.use", "files.use", "usage.view"];

/** create makes an organization key as a member of Acme. */
const create = (role: string, permissions: readonly string[], organization = "acme"): Promise<Answer> =>
  world.guildhall(world.member("acme", role).token, "POST", `/v1/organizations/${organization}/keys`, {
    name: `Key of ${permissions.length}`, kind: "organization", permissions,
  });

interface Key {
  readonly id: string;
  readonly secret: string;
}

/** key is a new key, which has to have been made. */
async function key(role: string, permissions: readonly string[]): Promise<Key> {
  const { status, body } = await create(role, permissions);
  assert.ok(status === 200 || status === 201, `${status} ${JSON.stringify(body)}`);
  return body as Key;
}

/** may lists which of the requests a key is let in with. */
async function may(secret: string, organization?: string): Promise<string[]> {
  const allowed = [];
  for (const [permission, method, path, body] of requests) {
    const got = await world.call({ credential: secret, organization }, method, path, body);
    if (got.status === 403) {
      assert.equal(got.body.needs, permission);
    } else {
      assert.equal(got.status, permission === "api.call" ? 404 : 200, JSON.stringify(got.body));
      allowed.push(permission);
    }
  }
  return allowed;
}

test("an organization key does what it is for, and no more", async (t) => {
  for (const role of ["owner", "admin"]) {
    await t.test(`all that keys may, made by the ${role}`, async () => assert.deepEqual(await may((await key(role, all)).secret), all));
  }
  for (const permission of all) {
    await t.test(`${permission} alone`, async () => assert.deepEqual(await may((await key("owner", [permission])).secret), [permission]));
  }
});

test("a member makes no key", async () => {
  const refused = await create("member", ["api.call"]);
  assert.deepEqual([refused.status, refused.body.needs], [403, "keys.create"]);
});

test("a key acts in its own organization only", async () => {
  const { secret } = await key("owner", all);
  assert.deepEqual(await may(secret, "acme"), all);
  assert.deepEqual(await may(secret, "globex"), []);
  const file = await world.call({ credential: secret }, "POST", "/api/files", { name: "acme.txt", content: "of Acme" });
  assert.equal(file.status, 201);
  const globex = { credential: world.member("globex", "owner").token, organization: "globex" };
  assert.equal((await world.call(globex, "GET", `/api/files/${file.body.id}`)).status, 404);
  assert.deepEqual((await world.call(globex, "GET", "/api/files")).body.data, []);
});

test("a key sees what the people of its organization made", async () => {
  const { secret } = await key("owner", all);
  const ada = { credential: world.member("acme", "owner").token, organization: "acme" };
  const file = await world.call(ada, "POST", "/api/files", { name: "ada.txt", content: "by Ada" });
  assert.equal((await world.call({ credential: secret }, "GET", `/api/files/${file.body.id}`)).body.content, "by Ada");
});

test("a revoked key is refused at the next request", async () => {
  const { id, secret } = await key("owner", all);
  assert.deepEqual(await may(secret), all);
  const revoked = await world.guildhall(world.member("acme", "admin").token, "POST", `/v1/organizations/acme/keys/${id}/revoke`, {});
  assert.equal(revoked.status, 200, JSON.stringify(revoked.body));
  for (const organization of [undefined, "acme"]) {
    const refused = await world.call({ credential: secret, organization }, "GET", "/api/files");
    assert.deepEqual([refused.status, refused.headers.get("WWW-Authenticate")], [401, 'Bearer error="invalid_token"']);
  }
});

/** derive makes a scoped token of an admin's session. */
async function derive(scopes: object): Promise<Key> {
  const { token } = world.member("acme", "admin");
  const { status, body } = await world.guildhall(token, "POST", "/v1/organizations/acme/tokens", { name: "One job", ...scopes });
  assert.ok(status === 200 || status === 201, `${status} ${JSON.stringify(body)}`);
  return body as Key;
}

test("a scoped token reaches what it names, and nothing beside it", async (t) => {
  const { secret } = await key("owner", all);
  const make = async (name: string): Promise<string> => (await world.call({ credential: secret }, "POST", "/api/pipelines", { name })).body.id as string;
  const [one, another] = [await make("One"), await make("Another")];
  const permissions = ["pipelines.use", "files.use"];
  const single = await derive({ permissions, resources: [`pipeline:${one}`] });
  const any = await derive({ permissions, resources: ["pipeline:*"] });
  const cases: [string, Key, string, number, string?][] = [
    ["its pipeline", single, `/api/pipelines/${one}`, 200],
    ["another pipeline", single, `/api/pipelines/${another}`, 403, "other_resource"],
    ["the list of pipelines", single, "/api/pipelines", 403, "other_resource"],
    ["a file", single, "/api/files/fl_1", 403, "other_resource"],
    ["what it has no scope for", single, "/api/processors", 403, "out_of_scope"],
    ["any pipeline, of a token for all", any, `/api/pipelines/${another}`, 200],
    ["the list of pipelines, of a token for all", any, "/api/pipelines", 200],
  ];
  for (const [name, token, path, status, reason] of cases) {
    await t.test(name, async () => {
      const got = await world.call({ credential: token.secret }, "GET", path);
      assert.deepEqual([got.status, got.body.reason], [status, reason]);
    });
  }
  const revoked = await world.guildhall(world.member("acme", "admin").token, "POST", `/v1/organizations/acme/tokens/${single.id}/revoke`, {});
  assert.equal(revoked.status, 200, JSON.stringify(revoked.body));
  assert.equal((await world.call({ credential: single.secret }, "GET", `/api/pipelines/${one}`)).status, 401);
});

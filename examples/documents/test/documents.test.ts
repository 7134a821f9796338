import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { World } from "./world.js";
import type { Answer, Caller } from "./world.js";

let world: World;

/** things are what an organization has in the product, by its slug. */
const things = new Map<string, { processor: string; pipeline: string; file: string }>();

const invoice = "Invoice: 2026-17\nDate: 2026-11-22\nTotal: EUR 1,250.00\n";
const organizations = ["acme", "globex"];
const roles = ["owner", "admin", "member"];

before(async () => {
  world = await World.start();
});
after(() => world.stop());

/** person is a member with a session, in their own organization. */
const person = (organization: string, role: string): Caller => ({ credential: world.member(organization, role).token, organization });

/** made is the id of what was made, which has to have been. */
function made(a: Answer): string {
  assert.equal(a.status, 201, JSON.stringify(a.body));
  return a.body.id as string;
}

/** Row is one permission of the table, and a request that needs it. */
type Row = [permission: string, method: string, path: (slug: string) => string, body?: (slug: string) => object];

const of = (slug: string): { processor: string; pipeline: string; file: string } => things.get(slug)!;

/** The product's rows of the table of permissions: every role has every one. */
const table: Row[] = [
  ["pipelines.use", "GET", () => "/api/pipelines"],
  ["pipelines.use", "POST", () => "/api/pipelines", () => ({ name: "Another" })],
  ["pipelines.use", "GET", (o) => `/api/pipelines/${of(o).pipeline}`],
  ["pipelines.use", "POST", (o) => `/api/pipelines/${of(o).pipeline}/run`, (o) => ({ file: of(o).file })],
  ["processors.use", "GET", () => "/api/processors"],
  ["processors.use", "POST", () => "/api/processors", () => ({ name: "Words", kind: "words" })],
  ["files.use", "GET", () => "/api/files"],
  ["files.use", "POST", () => "/api/files", () => ({ name: "note.txt", content: "a note" })],
  ["files.use", "GET", (o) => `/api/files/${of(o).file}`],
  ["files.use", "DELETE", (o) => `/api/files/${of(o).file}`],
  ["api.call", "POST", () => "/api/extract", (o) => ({ pipeline: of(o).pipeline, text: invoice })],
  ["usage.view", "GET", () => "/api/usage"],
  ["logs.view", "GET", () => "/api/logs"],
];

/** try sends a row's request about an organization's things. */
const tries = (who: Caller, [, method, path, body]: Row, about: string): Promise<Answer> => world.call(who, method, path(about), body?.(about));

/** upload gives an organization a file anew, since rows delete it. */
async function upload(slug: string): Promise<void> {
  const file = made(await world.call(person(slug, "owner"), "POST", "/api/files", { name: "invoice.txt", content: invoice }));
  things.set(slug, { ...of(slug), file });
}

test("owners of both organizations set the product up", async () => {
  for (const slug of organizations) {
    const owner = person(slug, "owner");
    const processor = made(await world.call(owner, "POST", "/api/processors", { name: "Invoices", kind: "fields", labels: ["Invoice", "Total"] }));
    const amounts = made(await world.call(owner, "POST", "/api/processors", { name: "Money", kind: "amounts" }));
    const pipeline = made(await world.call(owner, "POST", "/api/pipelines", { name: "Invoices", processors: [processor, amounts] }));
    things.set(slug, { processor, pipeline, file: "" });
    await upload(slug);
  }
});

test("a pipeline extracts what its processors find", async () => {
  const want = { Invoice: "2026-17", Total: "EUR 1,250.00", amounts: [{ currency: "EUR", value: 1250 }] };
  const owner = person("acme", "owner");
  const ran = await world.call(owner, "POST", `/api/pipelines/${of("acme").pipeline}/run`, { file: of("acme").file });
  assert.deepEqual(ran.body, { file: of("acme").file, pipeline: of("acme").pipeline, pages: 1, found: want });
  const called = await world.call(owner, "POST", "/api/extract", { pipeline: of("acme").pipeline, text: invoice });
  assert.deepEqual(called.body, { pipeline: of("acme").pipeline, pages: 1, found: want });
});

for (const slug of organizations) {
  for (const role of roles) {
    test(`every cell of the table: ${role} of ${slug}`, async (t) => {
      for (const row of table) {
        await t.test(`${row[0]}: ${row[1]} ${row[2].length ? "one of theirs" : row[2]("")}`, async () => {
          await upload(slug);
          const got = await tries(person(slug, role), row, slug);
          assert.ok(got.status >= 200 && got.status < 300, `${got.status} ${JSON.stringify(got.body)}`);
        });
      }
    });
  }
}

// T-001: things of another organization are refused, or not there.
test("nobody reaches another organization", async (t) => {
  for (const [from, to] of [["acme", "globex"], ["globex", "acme"]] as const) {
    for (const role of roles) {
      for (const row of table) {
        await t.test(`${role} of ${from} in ${to}: ${row[0]} ${row[1]}`, async () => {
          const inTheirs = await tries({ ...person(from, role), organization: to }, row, to);
          assert.deepEqual([inTheirs.status, inTheirs.body.needs, inTheirs.body.reason], [403, row[0], "not_a_member"]);
        });
      }
    }
  }
});

test("another organization's things are not there", async (t) => {
  const eve = person("globex", "owner");
  await upload("acme");
  const theirs = of("acme");
  const cases: [string, number, Promise<Answer>][] = [
    ["reading its pipeline", 404, world.call(eve, "GET", `/api/pipelines/${theirs.pipeline}`)],
    ["running its pipeline", 404, world.call(eve, "POST", `/api/pipelines/${theirs.pipeline}/run`, { file: of("globex").file })],
    ["running over its file", 404, world.call(eve, "POST", `/api/pipelines/${of("globex").pipeline}/run`, { file: theirs.file })],
    ["reading its file", 404, world.call(eve, "GET", `/api/files/${theirs.file}`)],
    ["deleting its file", 404, world.call(eve, "DELETE", `/api/files/${theirs.file}`)],
    ["extracting with its pipeline", 404, world.call(eve, "POST", "/api/extract", { pipeline: theirs.pipeline, text: invoice })],
    ["a pipeline of its processor", 422, world.call(eve, "POST", "/api/pipelines", { name: "Theirs", processors: [theirs.processor] })],
    ["its file is still there", 200, world.call(person("acme", "owner"), "GET", `/api/files/${theirs.file}`)],
  ];
  for (const [name, want, answer] of cases) {
    await t.test(name, async () => assert.equal((await answer).status, want));
  }
  for (const path of ["/api/pipelines", "/api/processors", "/api/files"]) {
    const text = JSON.stringify((await world.call(eve, "GET", path)).body);
    assert.ok(text.length > 20, `${path} is empty`);
    assert.doesNotMatch(text, new RegExp(Object.values(theirs).join("|")), path);
  }
  await world.call(person("acme", "owner"), "GET", "/api/files/asked-by-acme");
  const logs = async (who: Caller): Promise<boolean> => JSON.stringify((await world.call(who, "GET", "/api/logs")).body).includes("asked-by-acme");
  assert.deepEqual([await logs(person("acme", "admin")), await logs(eve)], [true, false]);
});

test("a request that cannot be right is refused", async (t) => {
  const owner = person("acme", "owner");
  const { credential } = owner;
  const cases: [string, number, string, Promise<Answer>][] = [
    ["a person who does not say where", 403, "denied", world.call({ credential }, "GET", "/api/files")],
    ["an organization that there is not", 403, "denied", world.call({ credential, organization: "nowhere" }, "GET", "/api/files")],
    ["a credential that nobody has", 401, "unauthenticated", world.call({ credential: "gld_live_unknown", organization: "acme" }, "GET", "/api/files")],
    ["the same without an organization", 401, "unauthenticated", world.call({ credential: "gld_live_unknown" }, "GET", "/api/files")],
    ["a kind that there is not", 422, "invalid", world.call(owner, "POST", "/api/processors", { name: "x", kind: "magic" })],
    ["a name that is none", 422, "invalid", world.call(owner, "POST", "/api/files", { name: 7, content: "x" })],
    ["no body", 400, "malformed", world.call(owner, "POST", "/api/files")],
    ["a route that there is not", 404, "not_found", world.call(owner, "GET", "/api/nothing")],
  ];
  for (const [name, status, code, answer] of cases) {
    await t.test(name, async () => {
      const got = await answer;
      assert.deepEqual([got.status, got.body.code, got.headers.get("Content-Type")?.split(";")[0]], [status, code, "application/problem+json"]);
    });
  }
});

test("usage and logs are counted", async () => {
  const owner = person("globex", "owner");
  const before = (await world.call(owner, "GET", "/api/usage")).body;
  await world.call(owner, "POST", "/api/extract", { pipeline: of("globex").pipeline, text: "one\ftwo" });
  const after = (await world.call(owner, "GET", "/api/usage")).body;
  assert.deepEqual([after.pages - before.pages, after.requests - before.requests], [2, 2]);
  const [last, previous] = (await world.call(owner, "GET", "/api/logs")).body.data;
  assert.deepEqual([last.path, previous.path, previous.method, previous.status], ["/api/usage", "/api/extract", "POST", 200]);
});

// T-038: whoever loses access is refused at the next request.
test("a suspended member is refused at once", async () => {
  const { member } = world.member("acme", "member");
  const call = (): Promise<Answer> => world.call(person("acme", "member"), "GET", "/api/files");
  assert.equal((await call()).status, 200);
  const suspended = await world.guildhall(world.member("acme", "owner").token, "POST", `/v1/organizations/acme/members/${member}/suspend`, {});
  assert.equal(suspended.status, 200, JSON.stringify(suspended.body));
  const refused = await call();
  assert.deepEqual([refused.status, refused.body.reason], [403, "suspended"]);
});

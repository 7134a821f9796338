import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { inspect } from "node:util";

import { credential, Denied, Guildhall, GuildhallError, organization, RateLimited, Unauthenticated, Unavailable } from "guildhall";

import { Fake, json, serviceKey } from "./fake.js";

const question = { subject: credential("gld_ses_secret"), permission: "api.call", resource: organization("acme") };

let fake: Fake;
before(async () => {
  fake = await Fake.start();
});
after(() => fake.stop());

/** answered is the error of a check that is answered with a status, once for each try. */
async function answered(status: number, body: object, type = "application/problem+json"): Promise<GuildhallError> {
  fake.instead.length = 0;
  fake.instead.push(...Array.from({ length: 3 }, () => (res: Parameters<typeof json>[0]) => json(res, status, body, type)));
  const error = await new Guildhall({ url: fake.url, key: serviceKey }).check(question).catch((e: unknown) => e);
  assert.ok(error instanceof GuildhallError);
  return error;
}

test("every status has its class", async (t) => {
  const cases: [number, typeof GuildhallError][] = [
    [301, GuildhallError], [400, GuildhallError], [401, Unauthenticated], [402, GuildhallError], [403, Denied], [404, GuildhallError], [409, GuildhallError],
    [429, RateLimited], [500, GuildhallError], [502, Unavailable], [503, Unavailable], [504, Unavailable],
  ];
  for (const [status, Class] of cases) {
    await t.test(`${status} is ${Class.name}`, async () => {
      const e = await answered(status, { status, code: "a_code", title: "A title", detail: "what is wrong" });
      assert.equal(e.constructor, Class);
      assert.deepEqual([e.name, e.status, e.code, e.title, e.message, e.requestId], [Class.name, status, "a_code", "A title", "what is wrong", "req_1"]);
    });
  }
});

test("an error tells everything that the problem told", async () => {
  const holders = [{ member: "mem_1", name: "Ada", role: "owner" }];
  const errors = [{ pointer: "/subject/id", code: "required", detail: "subject.id is required" }];
  const e = await answered(403, { code: "denied", detail: "no", needs: "keys.create", reason: "no_permission", holders, errors, fix_url: "http://guildhall.test/fix" });
  assert.deepEqual([e.needs, e.reason, e.holders, e.errors, e.fixUrl], ["keys.create", "no_permission", holders, errors, "http://guildhall.test/fix"]);
});

test("an error that Guildhall did not write tells its status", async (t) => {
  const cases: [string, object, string][] = [
    ["a proxy's JSON", { code: "denied", detail: "from elsewhere" }, "application/json"],
    ["problem details without a code", { detail: "from elsewhere" }, "application/problem+json"],
    ["a list", [], "application/problem+json"],
  ];
  for (const [name, body, type] of cases) {
    await t.test(name, async () => {
      const e = await answered(418, body, type);
      assert.deepEqual([e.status, e.code, e.message], [418, "unexpected_answer", "the server answered 418: is the address right?"]);
    });
  }
});

test("no secret is shown by an error or by the client", async () => {
  const hall = new Guildhall({ url: fake.url, key: serviceKey });
  const broken = new Guildhall({ url: "http://127.0.0.1:1", key: serviceKey, timeout: 1 });
  const errors = [await broken.check(question).catch((e: unknown) => e), await answered(401, {}), hall];
  for (const shown of errors) {
    assert.doesNotMatch(inspect(shown, { depth: 9, showHidden: true }) + JSON.stringify(shown), /gld_ses_secret|gld_svc_fake/);
  }
});

test("a client that could not work is not made", async (t) => {
  const cases: [string, string, string | undefined][] = [
    ["no key", "http://localhost:8080", undefined],
    ["an empty key", "http://localhost:8080", ""],
    ["a key with a line break", "http://localhost:8080", "gld_svc_x\n"],
    ["no address", "", serviceKey],
    ["an address without a scheme", "localhost:8080", serviceKey],
    ["an address with a password", "http://gld_svc_x:gld_svc_y@localhost:8080", serviceKey],
    ["an address of a file", "file:///etc/passwd", serviceKey],
  ];
  for (const [name, url, key] of cases) {
    await t.test(name, () => {
      assert.throws(() => new Guildhall({ url, key }), (e: unknown) => e instanceof TypeError && !e.message.includes("gld_svc_"));
    });
  }
});

import assert from "node:assert/strict";
import { after, before, beforeEach, test } from "node:test";

import { credential, Denied, Guildhall, organization, Unavailable, user } from "guildhall";
import type { Decision, Question } from "guildhall";

import { Fake, json, serviceKey } from "./fake.js";

let fake: Fake;
let hall: Guildhall;

before(async () => {
  fake = await Fake.start();
  hall = new Guildhall({ url: fake.url + "/", key: serviceKey });
  fake.credentials.set("key-of-acme", { organization: "acme", permissions: ["pipelines.use", "api.call"] });
});
after(() => fake.stop());
beforeEach(() => {
  fake.asked.length = 0;
  fake.instead.length = 0;
});

/** may asks whether the key of Acme may do something in an organization. */
const may = (permission: string, where = "acme"): Question => ({ subject: credential("key-of-acme"), permission, resource: organization(where) });

test("what a yes uses up has an id, so that it counts once when it is sent again", async () => {
  await hall.check({ ...may("pipelines.use"), count: { meter: "pages" } });
  const { usage } = (fake.asked.at(-1)?.body as { context: { usage: { amount: number; id: string } } }).context;
  assert.equal(usage.amount, 1);
  assert.match(usage.id, /^chk_.{20}/);
});

test("a question is written as AuthZEN says", async (t) => {
  const pipeline = { type: "pipeline", id: "p_1" };
  const cases: [string, Question, object][] = [
    [
      "a person, in an organization as a whole",
      { subject: user("ext-42"), permission: "pipelines.use", resource: organization("acme") },
      { subject: { type: "user", id: "ext-42" }, action: { name: "pipelines.use" }, resource: { type: "organization", id: "acme" } },
    ],
    [
      "a credential, from an address, about a thing of an organization",
      { subject: credential("s"), permission: "pipelines.use", resource: { ...pipeline, organization: "acme" }, address: "203.0.113.7" },
      {
        subject: { type: "credential", id: "s" },
        action: { name: "pipelines.use" },
        resource: { ...pipeline, properties: { organization: "acme" } },
        context: { address: "203.0.113.7" },
      },
    ],
    [
      "what a yes uses up",
      { subject: credential("s"), permission: "pipelines.use", resource: pipeline, count: { meter: "pages", amount: 12, id: "run_1" } },
      {
        subject: { type: "credential", id: "s" },
        action: { name: "pipelines.use" },
        resource: pipeline,
        context: { usage: { meter: "pages", amount: 12, id: "run_1" } },
      },
    ],
    [
      "a credential, about its own organization",
      { subject: credential("s"), permission: "api.call", resource: organization() },
      { subject: { type: "credential", id: "s" }, action: { name: "api.call" }, resource: { type: "organization", id: "" } },
    ],
    [
      "a credential, about a thing of its own organization",
      { subject: credential("s"), permission: "pipelines.use", resource: pipeline },
      { subject: { type: "credential", id: "s" }, action: { name: "pipelines.use" }, resource: pipeline },
    ],
  ];
  for (const [name, question, want] of cases) {
    await t.test(name, async () => {
      await hall.check(question);
      assert.deepEqual(fake.asked.at(-1)?.body, want);
      assert.equal(fake.asked.at(-1)?.path, "/access/v1/evaluation");
      assert.equal(fake.asked.at(-1)?.headers.authorization, `Bearer ${serviceKey}`);
    });
  }
});

test("an answer becomes a decision", async (t) => {
  const everything = {
    reason: "role", needs: "a.b", user: "usr_1", member: "mem_1", organization: "org_1", role: "admin", credential: "ses_1",
    kind: "session", region: "eu-west-1", plan: "pro", features: ["sso", "regions"], fix_url: "http://guildhall.test/fix", holders: [{ member: "mem_2", name: "Ada", role: "owner" }],
  };
  const { fix_url: fixUrl, ...rest } = everything;
  const cases: [string, unknown, Decision][] = [
    ["a yes", { decision: true, context: { reason: "role" } }, { allow: true, reason: "role" }],
    ["a no", { decision: false, context: { reason: "suspended", needs: "a.b" } }, { allow: false, reason: "suspended", needs: "a.b" }],
    ["a no without a context", { decision: false }, { allow: false, reason: "" }],
    ["all that is known", { decision: true, context: everything }, { allow: true, ...rest, fixUrl }],
    ["what is no text is left out", { decision: true, context: { reason: "role", user: 7, role: "", features: ["sso", 7] } }, { allow: true, reason: "role" }],
  ];
  for (const [name, answer, want] of cases) {
    await t.test(name, async () => {
      fake.instead.push((res) => json(res, 200, answer));
      const { requestId, ...got } = await hall.check(may("a.b"));
      assert.deepEqual(got, want);
      assert.equal(requestId, "req_1");
    });
  }
});

test("an answer that is none of Guildhall's is an error, never a yes", async (t) => {
  for (const answer of [{}, [], null, true, { decision: "true" }, { decision: 1 }, { allow: true }, { evaluations: [{ decision: true }] }]) {
    await t.test(JSON.stringify(answer), async () => {
      fake.instead.push((res) => json(res, 200, answer));
      await assert.rejects(hall.check(may("api.call")), { name: "Unavailable", code: "bad_answer", status: 0 });
    });
  }
  fake.instead.push((res) => res.end("<html>true</html>"));
  await assert.rejects(hall.check(may("api.call")), Unavailable);
  fake.instead.push((res) => json(res, 202, { decision: true }));
  await assert.rejects(hall.check(may("api.call")), { code: "unexpected_answer", status: 202 });
});

test("several questions are asked at once", async (t) => {
  const questions = [may("api.call"), may("files.use"), may("pipelines.use")];
  const cases: ["execute_all" | "deny_on_first_deny" | "permit_on_first_permit" | undefined, boolean[]][] = [
    [undefined, [true, false, true]],
    ["execute_all", [true, false, true]],
    ["deny_on_first_deny", [true, false]],
    ["permit_on_first_permit", [true]],
  ];
  for (const [semantic, want] of cases) {
    await t.test(semantic ?? "without a semantic", async () => {
      const got = await hall.checkAll(questions, semantic && { semantic });
      assert.deepEqual(got.map((d) => d.allow), want);
    });
  }
  fake.asked.length = 0;
  assert.deepEqual(await hall.checkAll([]), []);
  assert.equal(fake.asked.length, 0, "no question is asked");
});

test("missing answers are an error", async (t) => {
  const cases: [string, "execute_all" | "deny_on_first_deny" | "permit_on_first_permit", boolean[]][] = [
    ["fewer than were asked", "execute_all", [true]],
    ["more than were asked", "execute_all", [true, true, true]],
    ["stopped after a yes where a no stops", "deny_on_first_deny", [true]],
    ["stopped after a no where a yes stops", "permit_on_first_permit", [false]],
    ["none at all", "deny_on_first_deny", []],
  ];
  for (const [name, semantic, decisions] of cases) {
    await t.test(name, async () => {
      fake.instead.push((res) => json(res, 200, { evaluations: decisions.map((decision) => ({ decision })) }));
      await assert.rejects(hall.checkAll([may("api.call"), may("files.use")], { semantic }), { code: "bad_answer" });
    });
  }
  fake.instead.push((res) => json(res, 200, { evaluations: [{ decision: true }, {}] }));
  await assert.rejects(hall.checkAll([may("api.call"), may("files.use")]), { code: "bad_answer" });
});

test("demand throws what a refusal needs", async () => {
  assert.equal((await hall.demand(may("api.call"))).allow, true);
  await assert.rejects(hall.demand(may("files.use")), (e: unknown) => {
    assert.ok(e instanceof Denied);
    const { status, code, needs, reason, fixUrl, requestId } = e;
    const want = { status: 403, code: "denied", needs: "files.use", reason: "no_permission", fixUrl: "http://guildhall.test/fix", requestId: "req_1" };
    assert.deepEqual({ status, code, needs, reason, fixUrl, requestId }, want);
    assert.ok(!`${e.message}${e.stack}${JSON.stringify(e)}`.includes("key-of-acme"), "the credential is shown");
    return true;
  });
});

test("a credential is introspected", async () => {
  const known = await hall.introspect("key-of-acme", { address: "203.0.113.7" });
  assert.ok(known.active);
  assert.deepEqual([known.kind, known.organization, known.permissions], ["key", "acme", ["pipelines.use", "api.call"]]);
  assert.deepEqual(fake.asked.at(-1)?.body, { credential: "key-of-acme", address: "203.0.113.7" });
  assert.deepEqual(await hall.introspect("another"), { active: false });
  fake.instead.push((res) => json(res, 200, { active: true, kind: "user", id: "ses_1", user: "usr_1" }));
  assert.deepEqual(await hall.introspect("session"), { active: true, kind: "user", id: "ses_1", user: "usr_1", permissions: [] });
  for (const answer of [{}, { active: "true" }, null]) {
    fake.instead.push((res) => json(res, 200, answer));
    await assert.rejects(hall.introspect("key-of-acme"), { code: "bad_answer" });
  }
});

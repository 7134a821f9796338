import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { credential, Denied, Guildhall, organization, Unauthenticated, user } from "guildhall";

import { World } from "./world.js";

// The client itself against the real server: what a fake of the wire cannot prove.

let world: World;
let hall: Guildhall;
before(async () => {
  world = await World.start();
  hall = new Guildhall({ url: world.demo.url, key: world.demo.service_key });
});
after(() => world.stop());

test("people are asked about by id and by session", async (t) => {
  for (const role of ["owner", "admin", "member"]) {
    const { user: id, token } = world.member("acme", role);
    for (const [name, subject] of [["by id", user(id)], ["by session", credential(token)]] as const) {
      await t.test(`${role} ${name}`, async () => {
        const ask = (permission: string, where: string) => hall.check({ subject, permission, resource: organization(where) });
        const got = await Promise.all([ask("pipelines.use", "acme"), ask("keys.create", "acme"), ask("pipelines.use", "globex")]);
        assert.deepEqual(got.map((d) => d.allow), [true, role !== "member", false]);
        assert.equal(got[0]?.organization, world.organization("acme").id);
        assert.deepEqual([got[2]?.reason, got[2]?.needs], ["not_a_member", "pipelines.use"]);
      });
    }
  }
});

test("several questions stop where they are told to", async () => {
  const subject = user(world.member("acme", "member").user);
  const questions = ["files.use", "keys.create", "api.call"].map((permission) => ({ subject, permission, resource: organization("acme") }));
  const allows = async (semantic?: "deny_on_first_deny" | "permit_on_first_permit"): Promise<boolean[]> =>
    (await hall.checkAll(questions, semantic && { semantic })).map((d) => d.allow);
  assert.deepEqual([await allows(), await allows("deny_on_first_deny"), await allows("permit_on_first_permit")], [[true, false, true], [true, false], [true]]);
});

test("a demand that is refused says what it needs", async () => {
  const question = { subject: user(world.member("acme", "member").user), permission: "members.invite", resource: organization("acme") };
  await assert.rejects(hall.demand(question), (e: unknown) => e instanceof Denied && e.needs === "members.invite" && e.reason === "no_permission" && !!e.requestId);
});

test("a session is introspected", async () => {
  const ada = world.member("acme", "owner");
  const got = await hall.introspect(ada.token);
  assert.ok(got.active);
  assert.deepEqual([got.kind, got.user], ["user", ada.user]);
  assert.deepEqual(await hall.introspect("gld_live_unknown"), { active: false });
});

test("a session is no service key", async () => {
  const ada = world.member("acme", "owner");
  const asks = new Guildhall({ url: world.demo.url, key: ada.token });
  await assert.rejects(asks.check({ subject: user(ada.user), permission: "files.use", resource: organization("acme") }), (e: unknown) => {
    return e instanceof Unauthenticated && e.code === "service_key_required";
  });
});

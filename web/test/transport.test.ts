import assert from "node:assert/strict";
import { test } from "node:test";
import type { TestContext } from "node:test";

import { credential, Guildhall, organization } from "guildhall";

const question = { subject: credential("s"), permission: "api.call", resource: organization("acme") };

/** Reply is what a try is answered with: a status with headers, nothing at all, or no answer ever. */
type Reply = [status: number, headers?: Record<string, string>] | "broken" | "silent";

/** replying is a fetch that answers each try in turn, and notes when it was made, in milliseconds of the test's clock. */
function replying(replies: readonly Reply[]): { fetch: typeof fetch; tries: number[] } {
  const tries: number[] = [];
  const answer: typeof fetch = (_, init) => {
    const reply = replies[tries.push(Date.now()) - 1] ?? "silent";
    if (reply === "broken") {
      return Promise.reject(new TypeError("fetch failed"));
    }
    if (reply === "silent") {
      return new Promise((_, reject) => init?.signal?.addEventListener("abort", () => reject(new Error("aborted"))));
    }
    return Promise.resolve(Response.json({ decision: true, context: { reason: "role" } }, { status: reply[0], headers: reply[1] ?? {} }));
  };
  return { fetch: answer, tries };
}

/** outcome runs a check by a clock that the test moves on, and gives what came of it and when. */
async function outcome(t: TestContext, send: typeof fetch, timeout?: number): Promise<[string, number]> {
  t.mock.timers.enable({ apis: ["setTimeout", "Date"] });
  t.mock.method(Math, "random", () => 1);
  const hall = new Guildhall({ url: "http://guildhall.test", key: "gld_svc_x", timeout, fetch: send });
  let got: [string, number] | undefined;
  const settled = (text: string): void => void (got = [text, Date.now()]);
  hall.check(question).then((d) => settled(d.allow ? "allow" : "deny"), (e: Error & { code?: string }) => settled(e.code ?? e.message));
  while (!got) {
    await new Promise((resolve) => setImmediate(resolve));
    t.mock.timers.tick(got ? 0 : 10);
  }
  return got;
}

test("a check is sent again where that may help", async (t) => {
  const ok: Reply = [200];
  const cases: [string, Reply[], string, number[]][] = [
    ["an answer is taken at once", [ok], "allow", [0]],
    ["a busy server is asked again", [[503], ok], "allow", [0, 100]],
    ["the pause doubles", [[503], [503], ok], "allow", [0, 100, 300]],
    ["two more tries are the most", [[503], [503], [503], ok], "unexpected_answer", [0, 100, 300]],
    ["a lost connection is made again", ["broken", ok], "allow", [0, 100]],
    ["no server is asked three times", ["broken", "broken", "broken", ok], "no_answer", [0, 100, 300]],
    ["Retry-After in seconds is waited for", [[429, { "Retry-After": "2" }], ok], "allow", [0, 2100]],
    ["Retry-After as a date is waited for", [[503, { "Retry-After": new Date(3000).toUTCString() }], ok], "allow", [0, 3100]],
    ["a Retry-After that has passed is none", [[503, { "Retry-After": new Date(0).toUTCString() }], ok], "allow", [0, 100]],
    ["a Retry-After past the time is not waited for", [[429, { "Retry-After": "60" }], ok], "unexpected_answer", [0]],
    ["a Retry-After that is none is ignored", [[429, { "Retry-After": "soon" }], ok], "allow", [0, 100]],
    ["a wrong key is not tried again", [[401], ok], "unexpected_answer", [0]],
    ["a wrong question is not asked again", [[400], ok], "unexpected_answer", [0]],
    ["a mistake of the server is not asked again", [[500], ok], "unexpected_answer", [0]],
    ["a redirect is not followed", [[307, { Location: "http://elsewhere.test" }], ok], "unexpected_answer", [0]],
  ];
  for (const [name, replies, want, when] of cases) {
    await t.test(name, async (t) => {
      const { fetch, tries } = replying(replies);
      const [got] = await outcome(t, fetch);
      assert.deepEqual([got, tries], [want, when]);
    });
  }
});

test("a check takes no longer than its timeout", async (t) => {
  const cases: [string, number | undefined, Reply[], string, number, number][] = [
    ["five seconds without one", undefined, ["silent"], "timeout", 1, 5000],
    ["as told", 300, ["silent"], "timeout", 1, 300],
    ["all tries together", 300, [[503], "silent"], "timeout", 2, 300],
    ["a pause that ends too late is not begun", 250, [[503], [503], [200]], "unexpected_answer", 2, 100],
  ];
  for (const [name, timeout, replies, want, count, until] of cases) {
    await t.test(name, async (t) => {
      const { fetch, tries } = replying(replies);
      assert.deepEqual(await outcome(t, fetch, timeout), [want, until]);
      assert.equal(tries.length, count);
    });
  }
});

test("the pause has jitter", async (t) => {
  const { fetch, tries } = replying([[503], [200]]);
  const random = t.mock.method(Math, "random", () => 0);
  t.mock.timers.enable({ apis: ["setTimeout", "Date"] });
  const hall = new Guildhall({ url: "http://guildhall.test", key: "gld_svc_x", fetch });
  const asked = hall.check(question);
  while (tries.length < 2) {
    await new Promise((resolve) => setImmediate(resolve));
    t.mock.timers.tick(10);
  }
  assert.deepEqual(tries, [0, 50]);
  assert.ok(random.mock.callCount() > 0 && (await asked).allow);
});

test("a redirect is left to nobody", async () => {
  let redirect: string | undefined;
  const send: typeof fetch = (_, init) => {
    redirect = init?.redirect;
    return Promise.resolve(Response.json({ decision: true }));
  };
  await new Guildhall({ url: "http://guildhall.test", key: "gld_svc_x", fetch: send }).check(question);
  assert.equal(redirect, "manual");
});

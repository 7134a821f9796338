import assert from "node:assert/strict";
import { test } from "node:test";

import { QueueFull, Recorder, Unsent } from "guildhall";

/** Counter is a server that counts each event once, and fails as often as it is told to: before it records, or after. */
class Counter {
  readonly counted = new Map<string, number>();
  before = 0;
  after = 0;
  largest = 0;
  status = 503;

  readonly fetch = (async (input: string | URL | Request, init?: RequestInit) => {
    const { events } = JSON.parse(String(init?.body)) as { events: { id: string; source: string; value?: number; meter: string }[] };
    const organization = String(input).split("/").at(-3);
    this.largest = Math.max(this.largest, events.length);
    if (this.before-- > 0) {
      return this.#fails();
    }
    const results = events.map((e, index) => {
      if (e.meter === "rums") {
        return { index, status: "refused", code: "unknown_meter", detail: "unknown" };
      }
      this.counted.set([organization, e.source, e.id].join(), e.value ?? 1);
      return { index, status: "recorded" };
    });
    return this.after-- > 0 ? this.#fails() : Response.json({ results });
  }) as typeof fetch;

  #fails(): Response {
    return Response.json({ code: "unavailable", detail: "later" }, { status: this.status, headers: { "Content-Type": "application/problem+json" } });
  }

  get sum(): number {
    return [...this.counted.values()].reduce((a, b) => a + b, 0);
  }
}

const to = (server: Counter): { url: string; key: string; fetch: typeof fetch } => ({ url: "http://hall.test", key: "gld_svc_fake", fetch: server.fetch });

test("what it took is counted once, though requests fail before and after they count", async () => {
  const server = new Counter();
  [server.before, server.after] = [2, 2];
  const recorder = new Recorder({ ...to(server), batch: 50, queue: 100 });
  for (let i = 0; i < 300; i++) {
    await recorder.record(`org_${i % 3}`, { meter: "runs", value: 2 });
  }
  await recorder.close();
  assert.equal(server.sum, 600);
  assert.ok(server.largest <= 50);
  await assert.rejects(recorder.record("org", { meter: "runs" }));
});

test("a full queue throws, and what was not sent comes back", async () => {
  const server = new Counter();
  server.before = Infinity;
  const recorder = new Recorder({ ...to(server), queue: 2, drop: true });
  await recorder.record("org", { meter: "runs", id: "a" });
  await recorder.record("org", { meter: "runs", id: "b" });
  await assert.rejects(recorder.record("org", { meter: "runs" }), QueueFull);
  const failure = await recorder.close(1).catch((e: unknown) => e);
  assert.ok(failure instanceof Unsent);
  assert.deepEqual(failure.events.get("org")?.map((e) => e.id), ["a", "b"]);
});

test("what is refused is told", async () => {
  const server = new Counter();
  const told: string[] = [];
  const recorder = new Recorder({ ...to(server), refused: (organization, e, code) => told.push([organization, e.meter, code].join()) });
  await recorder.record("org", { meter: "rums" });
  await recorder.record("org", { meter: "runs", value: 5 });
  await assert.rejects(recorder.close(), /1 events were refused/);
  assert.deepEqual(told, ["org,rums,unknown_meter"]);
  assert.equal(server.sum, 5);
});

test("an organization that there is not is refused and not tried for ever", async () => {
  const server = new Counter();
  [server.before, server.status] = [1, 404];
  const recorder = new Recorder(to(server));
  await recorder.record("nowhere", { meter: "runs" });
  await assert.rejects(recorder.close());
  assert.equal(recorder.waiting, 0);
});

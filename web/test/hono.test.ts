import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { Guildhall } from "guildhall";
import { protect } from "guildhall/hono";
import { Hono } from "hono";

import { Fake, serviceKey } from "./fake.js";
import { cases, knows, verify } from "./requests.js";

let fake: Fake;
const app = new Hono();
let errors = 0;

before(async () => {
  fake = await Fake.start();
  knows(fake);
  const hall = new Guildhall({ url: fake.url, key: serviceKey });
  const options = { onError: () => void errors++, address: () => "203.0.113.7" };
  const guarded = protect(hall, "pipelines.use", (c) => ({ type: "pipeline", id: c.req.param("id") ?? "", organization: "acme" }), options);
  app.get("/pipelines/:id", guarded, (c) => c.json({ pipeline: c.req.param("id"), organization: c.get("guildhall").organization }));
});
after(() => fake.stop());

for (const c of cases) {
  test(`hono: ${c.name}`, async () => {
    fake.asked.length = errors = 0;
    c.before?.(fake);
    const headers = new Headers();
    c.authorization.forEach((value) => headers.append("Authorization", value));
    const answer = await app.request(c.path ?? "/pipelines/p_1", { headers });
    verify(c, { status: answer.status, headers: answer.headers, text: await answer.text() });
    assert.equal(errors > 0, c.status === 503, "onError is told of what was not answered, and of nothing else");
    assert.equal(fake.asked.length > 0, c.challenge !== "Bearer", "what is malformed is not asked about");
  });
}

test("hono: the client's address is asked about", async () => {
  await app.request("/pipelines/p_1", { headers: { Authorization: "Bearer key-of-acme" } });
  assert.deepEqual((fake.asked.at(-1)?.body as { context: object }).context, { address: "203.0.113.7" });
});

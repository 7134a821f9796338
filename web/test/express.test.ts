import assert from "node:assert/strict";
import { request } from "node:http";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, test } from "node:test";

import express from "express";
import type { ErrorRequestHandler } from "express";
import { Guildhall } from "guildhall";
import type { GuildhallError } from "guildhall";
import { protect } from "guildhall/express";

import { Fake, serviceKey } from "./fake.js";
import { cases, knows, verify } from "./requests.js";
import type { Got } from "./requests.js";

let fake: Fake;
let server: Server;
const errors: GuildhallError[] = [];

before(async () => {
  fake = await Fake.start();
  knows(fake);
  const hall = new Guildhall({ url: fake.url, key: serviceKey });
  const app = express();
  const pipeline = (id: string): { type: string; id: string; organization: string } => ({ type: "pipeline", id, organization: "acme" });
  app.get("/pipelines/:id", protect(hall, "pipelines.use", (req) => pipeline(req.params["id"]), { onError: (e) => errors.push(e) }), (req, res) => {
    res.json({ pipeline: req.params.id, organization: req.guildhall?.organization });
  });
  const broken = (): never => {
    throw new Error("the product's own");
  };
  app.get("/broken", protect(hall, "pipelines.use", broken), (_, res) => void res.json({}));
  const onError: ErrorRequestHandler = (e: Error, _req, res, _next) => void res.status(500).json({ message: e.message });
  app.use(onError);
  server = app.listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
});
after(async () => {
  server.close();
  await fake.stop();
});

/** get sends a request with as many headers as the test says, which fetch would join. */
function get(path: string, authorization: readonly string[]): Promise<Got> {
  const headers = ["Host", "localhost", ...authorization.flatMap((value) => ["Authorization", value])];
  const { port } = server.address() as AddressInfo;
  return new Promise((resolve, reject) => {
    const sent = request({ port, host: "127.0.0.1", path, headers }, (res) => {
      let text = "";
      res.setEncoding("utf8").on("data", (part: string) => (text += part));
      res.on("end", () => resolve({ status: res.statusCode ?? 0, headers: new Headers(res.headers as Record<string, string>), text }));
    });
    sent.on("error", reject).end();
  });
}

for (const c of cases) {
  test(`express: ${c.name}`, async () => {
    fake.asked.length = errors.length = 0;
    c.before?.(fake);
    verify(c, await get(c.path ?? "/pipelines/p_1", c.authorization));
    assert.equal(errors.length > 0, c.status === 503, "onError is told of what was not answered, and of nothing else");
    assert.equal(fake.asked.length > 0, c.challenge !== "Bearer", "what is malformed is not asked about");
  });
}

test("express: the client's address is asked about", async () => {
  await get("/pipelines/p_1", ["Bearer key-of-acme"]);
  assert.deepEqual((fake.asked.at(-1)?.body as { context: object }).context, { address: "127.0.0.1" });
});

test("express: the product's own errors are its own", async () => {
  const got = await get("/broken", ["Bearer key-of-acme"]);
  assert.deepEqual([got.status, got.text], [500, '{"message":"the product\'s own"}']);
});

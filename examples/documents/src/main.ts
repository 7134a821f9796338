// Starts the product: its own process, on its own port of this machine.

import { mkdirSync } from "node:fs";
import type { Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { Guildhall } from "guildhall";

import { makeApp } from "./app.js";
import type { Permission } from "./permissions.js";
import { Store } from "./store.js";

const { values } = parseArgs({
  options: {
    port: { type: "string", default: "8090" }, // 0: any that is free
    data: { type: "string", default: "documents-data" },
    json: { type: "boolean", default: false },
  },
});

function main(): void {
  const url = process.env["GUILDHALL_URL"] ?? "http://localhost:8080";
  const hall = new Guildhall<Permission>({ url, key: process.env["GUILDHALL_SERVICE_KEY"] });
  mkdirSync(values.data, { recursive: true });
  const store = Store.open(join(values.data, "documents.db"));
  const server = makeApp(store, hall).listen(Number(values.port), "127.0.0.1", (error) => {
    if (error) {
      throw error;
    }
    const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    console.log(values.json ? JSON.stringify({ url: address }) : `Document processing is at ${address}`);
  });
  for (const signal of ["SIGINT", "SIGTERM"] as const) {
    process.once(signal, () => stop(server, store));
  }
}

/** stop lets the requests under way end. */
function stop(server: Server, store: Store): void {
  server.close(() => store.close());
  server.closeIdleConnections();
}

main();

// A demo of Guildhall for a test file: its own process, its own folder, gone when the tests are over. The contract of
// `guildhall demo --json` is one line on standard output, and then it serves until it is interrupted.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const binary = process.env.GUILDHALL || fileURLToPath(new URL("../../guildhall", import.meta.url));

// ways are those in which a test can end before its demo does.
const ways = ["exit", "SIGINT", "SIGTERM", "SIGHUP"];

// startDemo starts a demo with one of the ready-made charters. Stop it.
export async function startDemo(charter, ...more) {
  const data = await mkdtemp(join(tmpdir(), "guildhall-browser-"));
  const args = ["demo", "--json", "--addr", "127.0.0.1:0", "--data", data, "--charter", charter, ...more];
  const child = spawn(binary, args, { stdio: ["ignore", "pipe", "pipe"] });
  const demo = new Demo(child, data);
  try {
    demo.told = JSON.parse(await demo.firstLine());
  } catch (error) {
    await demo.end();
    throw new Error(`${binary} ${args.join(" ")}: ${error.message}\n${demo.log}`);
  }
  return demo;
}

// Demo is a running demo and what it told about itself.
class Demo {
  log = "";

  constructor(child, data) {
    this.child = child;
    this.data = data;
    this.exited = once(child, "exit");
    this.exited.catch(() => {}); // firstLine tells that there is no such program
    this.leave = (signal) => {
      child.kill("SIGKILL");
      if (typeof signal === "string") process.exit(1);
    };
    for (const way of ways) process.once(way, this.leave);
    child.stderr.setEncoding("utf8").on("data", (text) => (this.log += text));
  }

  firstLine() {
    const lines = createInterface({ input: this.child.stdout });
    return new Promise((resolve, reject) => {
      lines.once("line", resolve);
      this.child.once("error", reject);
      this.child.once("exit", (code) => reject(new Error(`it ended with ${code} before its line of JSON`)));
    });
  }

  // stop ends the demo, and fails if it did not end well or wrote of an error.
  async stop() {
    const code = await this.end();
    if (code !== 0 || this.log.includes("level=ERROR")) throw new Error(`the demo ended with ${code}:\n${this.log}`);
  }

  async end() {
    this.child.kill("SIGTERM");
    const [code] = await this.exited.catch(() => [null]);
    for (const way of ways) process.off(way, this.leave);
    await rm(this.data, { recursive: true, force: true });
    return code;
  }

  get url() {
    return this.told.url;
  }

  organization(slug = "acme") {
    return this.told.organizations.find((o) => o.slug === slug);
  }

  // people are an organization's, the highest role first.
  people(slug = "acme") {
    return this.organization(slug).members;
  }

  owner() {
    return this.people().at(0);
  }

  lowest() {
    return this.people().at(-1);
  }

  // api calls an operation as a person, and gives what it answers.
  async api(person, method, path, body) {
    const answer = await fetch(this.url + path, {
      method,
      headers: { Authorization: `Bearer ${person.token}`, "Content-Type": "application/json" },
      body: body && JSON.stringify(body),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return text && JSON.parse(text);
  }

  // mail is the last mail to an address. Every call that has returned has sent its mail: nothing is waited for.
  async mail(to) {
    const messages = await (await fetch(`${this.url}/dev/mail.json`)).json();
    const found = messages.filter((m) => m.to === to).at(-1);
    if (!found) throw new Error(`no mail to ${to}`);
    return { ...found, link: found.links[0], code: found.text.match(/^\d{6}$/m)?.[0] };
  }

  // advance moves the demo's clock on, by a duration such as "11m".
  async advance(by) {
    const answer = await fetch(`${this.url}/dev/clock`, { method: "POST", body: JSON.stringify({ advance: by }) });
    if (!answer.ok) throw new Error(`advance ${by}: ${answer.status} ${await answer.text()}`);
  }
}

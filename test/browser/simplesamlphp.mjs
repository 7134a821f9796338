// SimpleSAMLphp as Debian packages it, as an identity provider on this machine: PHP's own server behind a TLS server of ours,
// with a configuration of its own in a folder that is gone afterwards.

import { execFileSync, spawn } from "node:child_process";
import { randomBytes, randomInt } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { createServer } from "node:net";
import { join } from "node:path";

const home = "/usr/share/simplesamlphp";
const install = "run ./scripts/install.sh, or apt-get install simplesamlphp php-cli php-cgi php-xml php-mbstring";

// php writes a value as PHP reads it.
function php(value) {
  if (Array.isArray(value)) return `[${value.map(php).join(", ")}]`;
  if (value && typeof value === "object") return `[${Object.entries(value).map(([name, one]) => `${php(/^\d+$/.test(name) ? Number(name) : name)} => ${php(one)}`).join(",\n")}]`;
  return typeof value === "string" ? `'${value.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'` : JSON.stringify(value);
}

// freePort is one on which nobody listens: PHP does not say which one it took. It is below those that the system gives to
// whoever connects somewhere.
async function freePort() {
  for (;;) {
    const server = createServer();
    const port = randomInt(10_240, 32_768);
    const free = await new Promise((resolve) => server.once("error", () => resolve(false)).listen(port, "127.0.0.1", () => resolve(true)));
    if (!free) continue;
    server.close();
    await once(server, "close");
    return port;
  }
}

// startSimpleSAMLphp starts a provider with people, each a login with a password and attributes. What it knows of us is the
// metadata that know is given. More is added to what it says of itself in its configuration.
export async function startSimpleSAMLphp(outside, people, more = {}) {
  if (!existsSync(`${home}/www/index.php`)) throw new Error(`SimpleSAMLphp is missing: ${install}`);
  const folder = join(outside.folder, `simplesamlphp-${randomBytes(4).toString("hex")}`);
  const at = (...names) => join(folder, ...names);
  for (const name of ["config", "metadata", "cert", "log", "data", "tmp", "sessions"]) mkdirSync(at(name), { recursive: true, mode: 0o700 });
  execFileSync("openssl", ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-sha256", "-days", "2", "-subj", "/CN=simplesamlphp.test", "-keyout", at("cert", "idp.pem"), "-out", at("cert", "idp.crt")], { stdio: "ignore" });

  const port = await freePort();
  const url = await outside.https((q, r) => forward(port, q, r));
  const file = (name, text) => writeFileSync(at(name), `<?php\n${text}\n`);
  const knows = at("metadata", "parties.xml");
  writeFileSync(knows, '<EntitiesDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata"/>');
  file("config/config.php", `$config = ${php({
    baseurlpath: `${url}/`, certdir: at("cert/"), loggingdir: at("log/"), datadir: at("data/"), tempdir: at("tmp"), metadatadir: at("metadata/"), attributenamemapdir: "/etc/simplesamlphp/attributemap/",
    "logging.handler": "file", "logging.level": 7, secretsalt: randomBytes(16).toString("hex"), "auth.adminpassword": randomBytes(16).toString("hex"), timezone: "UTC",
    "enable.saml20-idp": true, "module.enable": { exampleauth: true, core: true, saml: true }, "store.type": "phpsession", "session.phpsession.savepath": at("sessions"), "session.cookie.secure": true,
    "session.cookie.name": "SimpleSAMLSessionID", "session.phpsession.cookiename": "SimpleSAML", "language.default": "en", "language.available": ["en"],
    "metadata.sources": [{ type: "flatfile" }, { type: "xml", file: knows }],
  })};`);
  const accounts = Object.fromEntries(Object.entries(people).map(([login, { password, ...said }]) => [`${login}:${password}`, { uid: [login], ...Object.fromEntries(Object.entries(said).map(([name, value]) => [name, [value].flat()])) }]));
  file("config/authsources.php", `$config = ${php({ people: { 0: "exampleauth:UserPass", ...accounts } })};`);
  file("metadata/saml20-idp-hosted.php", `$metadata[${php(`${url}/saml2/idp/metadata.php`)}] = ${php({
    host: "__DEFAULT__", privatekey: "idp.pem", certificate: "idp.crt", auth: "people", NameIDFormat: "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent",
    authproc: { 3: { class: "saml:PersistentNameID", attribute: "uid" } }, ...more,
  })};`);

  const child = spawn("php", ["-d", "display_errors=stderr", "-S", `127.0.0.1:${port}`, "-t", `${home}/www`], { env: { ...process.env, SIMPLESAMLPHP_CONFIG_DIR: at("config") }, stdio: ["ignore", "ignore", "pipe"] });
  outside.running.push(() => child.kill());
  const provider = { url, log: () => said + (existsSync(at("log/simplesamlphp.log")) ? readFileSync(at("log/simplesamlphp.log"), "utf8") : ""), know: (xml) => writeFileSync(knows, xml.replace(/^<\?xml.*?\?>\s*/, "")) };
  let said = "";
  await new Promise((ready, failed) => {
    child.once("error", (error) => failed(new Error(`php: ${error.message}: ${install}`)));
    child.once("exit", () => failed(new Error(`php ended:\n${said}`)));
    child.stderr.setEncoding("utf8").on("data", (text) => (said += text).includes("started") && ready());
  });
  return provider;
}

// forward passes a request on to PHP.
function forward(port, asked, answer) {
  const there = request({ host: "127.0.0.1", port, method: asked.method, path: asked.url, headers: { ...asked.headers, connection: "close" } }, (got) => {
    answer.writeHead(got.statusCode, got.headers);
    got.pipe(answer);
  });
  there.on("error", () => answer.writeHead(502).end());
  asked.pipe(there);
}

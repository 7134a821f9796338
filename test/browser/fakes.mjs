// What the sign-in tests need beside Guildhall, all of it on this machine: an authority, a DNS server, Google and GitHub as they
// answer, and OpenID providers that others wrote (npm oidc-provider).

import { execFileSync } from "node:child_process";
import { createHash, createPrivateKey, generateKeyPairSync, randomBytes, sign } from "node:crypto";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import Provider from "oidc-provider";

// Outside is a folder with a certificate of localhost, and what runs with it. Close it.
export class Outside {
  running = [];
  texts = new Map(); // of the DNS server

  constructor() {
    this.folder = mkdtempSync(join(tmpdir(), "guildhall-outside-"));
    this.ca = join(this.folder, "ca.pem");
    execFileSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", join(this.folder, "key.pem"),
      "-out", this.ca, "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], { stdio: "ignore" });
  }

  async https(handler) {
    const server = createServer({ key: readFileSync(join(this.folder, "key.pem")), cert: readFileSync(this.ca) }, (q, r) => handler(q, r));
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    this.running.push(() => { server.closeAllConnections(); server.close(); });
    return `https://localhost:${server.address().port}`;
  }

  // dns answers TXT records, and for nothing else.
  async dns() {
    const socket = createSocket("udp4");
    socket.on("message", (asked, from) => socket.send(this.answer(asked), from.port, from.address));
    socket.bind(0, "127.0.0.1");
    await once(socket, "listening");
    this.running.push(() => socket.close());
    return `127.0.0.1:${socket.address().port}`;
  }

  answer(asked) {
    const labels = [];
    let at = 12;
    while (asked[at] !== 0) {
      labels.push(asked.subarray(at + 1, at + 1 + asked[at]).toString());
      at += asked[at] + 1;
    }
    const question = asked.subarray(12, at + 5);
    const text = asked.readUInt16BE(at + 1) === 16 ? this.texts.get(labels.join(".").toLowerCase()) : undefined;
    const head = Buffer.from(asked.subarray(0, 12));
    head.writeUInt16BE(text ? 0x8580 : 0x8583, 2); // an answer, or no such name
    head.writeUInt16BE(1, 4);
    head.writeUInt16BE(text ? 1 : 0, 6);
    head.writeUInt32BE(0, 8);
    if (!text) return Buffer.concat([head, question]);
    const data = Buffer.concat([Buffer.from([text.length]), Buffer.from(text)]);
    const record = Buffer.from([0xc0, 0x0c, 0, 16, 0, 1, 0, 0, 0, 1, 0, data.length]);
    return Buffer.concat([head, question, record, data]);
  }

  config(lines) {
    const file = join(this.folder, `config-${randomBytes(4).toString("hex")}.yaml`);
    writeFileSync(file, lines.join("\n") + "\n");
    return file;
  }

  close() {
    for (const end of this.running) end();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

const read = async (request) => {
  const parts = [];
  for await (const part of request) parts.push(part);
  return new URLSearchParams(Buffer.concat(parts).toString());
};

const page = (response, title, body) => {
  response.setHeader("Content-Type", "text/html; charset=utf-8");
  response.end(`<!doctype html><html lang="en"><title>${title}</title><h1>${title}</h1>${body}</html>`);
};

const json = (response, value, status = 200) => {
  response.statusCode = status;
  response.setHeader("Content-Type", "application/json");
  response.end(JSON.stringify(value));
};

const proves = (verifier, challenge) => createHash("sha256").update(verifier ?? "").digest("base64url") === challenge;

// Consent is what Google and GitHub have in common: a page with one button that sends the person back with a code.
class Consent {
  codes = new Map();

  ask(request, response, title) {
    const asked = new URL(request.url, this.url).searchParams;
    const code = randomBytes(16).toString("hex");
    this.codes.set(code, asked);
    const back = new URL(asked.get("redirect_uri"));
    for (const [name, value] of [["code", code], ["state", asked.get("state")], ...this.says()]) back.searchParams.set(name, value);
    page(response, title, `<p><a href="${back.href.replaceAll("&", "&amp;")}">Allow</a></p>`);
  }

  says() { return []; }

  // take gives what was asked when a code was given, once, to whoever proves to be the one who asked.
  take(form) {
    const asked = this.codes.get(form.get("code"));
    this.codes.delete(form.get("code"));
    return asked && proves(form.get("code_verifier"), asked.get("code_challenge")) && form.get("redirect_uri") === asked.get("redirect_uri") && asked;
  }
}

// GitHub as GitHub Enterprise Server answers.
export class GitHub extends Consent {
  user = { id: 4711, login: "zoe", name: "Zoe Zimmermann" };
  emails = [{ email: "zoe@example.org", primary: true, verified: true }];
  memberships = {};

  static async start(outside) {
    const g = new GitHub();
    g.url = await outside.https((q, r) => g.serve(q, r));
    return g;
  }

  async serve(request, response) {
    const path = new URL(request.url, this.url).pathname;
    if (path === "/login/oauth/authorize") return this.ask(request, response, "Authorize at GitHub");
    if (path === "/login/oauth/access_token") {
      const asked = this.take(await read(request));
      response.setHeader("Content-Type", "application/x-www-form-urlencoded");
      return response.end(asked ? "access_token=gho_token&token_type=bearer" : "error=bad_verification_code");
    }
    if (request.headers.authorization !== "Bearer gho_token") return json(response, {}, 401);
    if (path === "/api/v3/user") return json(response, this.user);
    if (path === "/api/v3/user/emails") return json(response, this.emails);
    const m = this.memberships[path.replace("/api/v3/user/memberships/orgs/", "")];
    return m ? json(response, m) : json(response, {}, 404);
  }
}

// Google: an OpenID provider that says hd.
export class Google extends Consent {
  claims = { sub: "g-1", email: "gil@example.org", email_verified: true, name: "Gil" };

  static async start(outside) {
    const g = new Google();
    const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    Object.assign(g, { key: privateKey, jwk: { ...publicKey.export({ format: "jwk" }), kid: "1", alg: "RS256", use: "sig" } });
    g.url = await outside.https((q, r) => g.serve(q, r));
    return g;
  }

  says() { return [["iss", this.url]]; }

  async serve(request, response) {
    switch (new URL(request.url, this.url).pathname) {
      case "/.well-known/openid-configuration":
        return json(response, { issuer: this.url, authorization_endpoint: `${this.url}/authorize`, token_endpoint: `${this.url}/token`, jwks_uri: `${this.url}/keys`,
          authorization_response_iss_parameter_supported: true, id_token_signing_alg_values_supported: ["RS256"] });
      case "/keys":
        return json(response, { keys: [this.jwk] });
      case "/authorize":
        return this.ask(request, response, "Choose an account at Google");
      case "/token": {
        const asked = this.take(await read(request));
        if (!asked) return json(response, { error: "invalid_grant" }, 400);
        const now = Math.floor(Date.now() / 1000);
        return json(response, { access_token: "x", token_type: "Bearer", id_token: this.token({ iss: this.url, aud: asked.get("client_id"), iat: now, exp: now + 600, nonce: asked.get("nonce"), ...this.claims }) });
      }
    }
    return json(response, {}, 404);
  }

  token(claims) {
    const encode = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
    const text = `${encode({ alg: "RS256", kid: "1" })}.${encode(claims)}`;
    return `${text}.${sign("sha256", Buffer.from(text), this.key).toString("base64url")}`;
  }
}

// startProvider starts an OpenID provider that somebody else wrote, with one client. The login that a person types is their
// subject, and the part before the @ of their address. begin gives it another key. Left are where people may come back to who have
// signed out there, and backchannel is where it tells of them.
export async function startProvider(outside, { client, redirects, accounts, left = [] }) {
  let handler;
  const url = await outside.https((q, r) => handler(q, r));
  const p = { url, accounts, redirects, left, backchannel: undefined, told: [] };
  const begin = () => {
    const jwk = createPrivateKey(generateKeyPairSync("rsa", { modulusLength: 2048, privateKeyEncoding: { type: "pkcs8", format: "pem" }, publicKeyEncoding: { type: "spki", format: "pem" } }).privateKey).export({ format: "jwk" });
    const provider = new Provider(url, {
      clients: [{ client_id: client.id, client_secret: client.secret, redirect_uris: p.redirects, grant_types: ["authorization_code"], response_types: ["code"], application_type: "native",
        post_logout_redirect_uris: p.left, ...(p.backchannel && { backchannel_logout_uri: p.backchannel, backchannel_logout_session_required: true }) }],
      features: { backchannelLogout: { enabled: true } },
      fetch: (address, { dispatcher, ...options }) => fetch(address, options), // its own refuses addresses of this machine
      jwks: { keys: [{ ...jwk, use: "sig", alg: "RS256", kid: randomBytes(4).toString("hex") }] },
      cookies: { keys: [randomBytes(16).toString("hex")] },
      claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"] },
      conformIdTokenClaims: false,
      pkce: { required: () => true },
      findAccount: (_, id) => p.accounts[id] && { accountId: id, claims: () => ({ sub: id, ...p.accounts[id] }) },
    });
    provider.on("backchannel.success", () => p.told.push("taken"));
    provider.on("backchannel.error", (_, error) => p.told.push(`${error.message}: ${error.cause}`));
    handler = provider.callback();
  };
  begin();
  p.begin = begin; // again, with another key and the redirects as they are now
  return p;
}

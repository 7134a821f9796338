// An identity provider of SAML 2.0 on this machine: samlp, which signs with xml-crypto. Its key and certificate are made anew
// each time.

import { createSign, generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { createServer } from "node:https";
import samlp from "samlp";

// der is one value of ASN.1, as X.509 writes it.
function der(tag, ...parts) {
  const body = Buffer.concat(parts.map((part) => (typeof part === "string" ? Buffer.from(part, "hex") : part)));
  const size = body.length;
  const length = size < 128 ? [size] : size < 256 ? [0x81, size] : [0x82, size >> 8, size & 255];
  return Buffer.concat([Buffer.from([tag, ...length]), body]);
}

// identity is a key with a certificate that signs itself, until 2049.
export function identity() {
  const { privateKey, publicKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const sha256WithRSA = der(0x30, "06092a864886f70d01010b", "0500");
  const name = der(0x30, der(0x31, der(0x30, "0603550403", der(0x0c, Buffer.from("localhost")))));
  const time = (text) => der(0x17, Buffer.from(text));
  const signed = der(0x30, "a003020102", "020101", sha256WithRSA, name, der(0x30, time("200101000000Z"), time("491231235959Z")), name, publicKey.export({ type: "spki", format: "der" }));
  const signature = createSign("sha256").update(signed).sign(privateKey);
  const raw = der(0x30, signed, sha256WithRSA, der(0x03, "00", signature)).toString("base64");
  return {
    key: privateKey.export({ type: "pkcs8", format: "pem" }),
    raw,
    cert: `-----BEGIN CERTIFICATE-----\n${raw.match(/.{1,64}/g).join("\n")}\n-----END CERTIFICATE-----\n`,
  };
}

// metadata is what a provider says of itself.
export function metadata(entity, signOn, raw) {
  return `<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID="${entity}">
  <IDPSSODescriptor protocolSupportEnumeration="urn:oasis:names:tc:SAML:2.0:protocol">
    <KeyDescriptor use="signing"><KeyInfo xmlns="http://www.w3.org/2000/09/xmldsig#"><X509Data><X509Certificate>${raw}</X509Certificate></X509Data></KeyInfo></KeyDescriptor>
    <SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-Redirect" Location="${signOn}"/>
  </IDPSSODescriptor>
</EntityDescriptor>`;
}

// startProvider starts a provider that signs everybody in as a person. Stop it. How says what is signed.
export async function startProvider(person, how = {}) {
  const own = identity();
  const server = createServer({ key: own.key, cert: own.cert }, (request, response) => answer(request, response));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const url = `https://localhost:${server.address().port}`;
  const provider = { url, metadata: metadata(`${url}/metadata`, `${url}/sso`, own.raw), how, stop: () => new Promise((done) => server.close(done)), asked: 0 };

  function answer(request, response) {
    const at = new URL(request.url, url);
    if (at.pathname !== "/sso") return response.writeHead(204).end();
    provider.asked++;
    request.query = Object.fromEntries(at.searchParams);
    request.user = person;
    samlp.parseRequest(request, {}, (error, asked) => {
      if (error) return response.writeHead(400).end(String(error));
      const acs = asked.assertionConsumerServiceURL;
      const options = {
        issuer: `${url}/metadata`, cert: own.cert, key: own.key, destination: acs, recipient: acs, nameIdentifierFormat: "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent",
        getPostURL: (audience, dom, req, done) => done(null, acs), ...provider.how,
        responseHandler: (document, opts, req, res) => res.writeHead(200, { "Content-Type": "text/html" }).end(form(acs, document, request.query.RelayState)),
      };
      samlp.auth(options)(request, response, (failed) => response.writeHead(500).end(String(failed)));
    });
  }
  return provider;
}

// form is the page that providers send: it posts the answer to another site.
const form = (acs, document, state) => `<!doctype html><title>Provider</title><form method="post" action="${acs}">
<input type="hidden" name="SAMLResponse" value="${document.toString("base64")}"><input type="hidden" name="RelayState" value="${state}">
<button>Sign in as Zoe</button></form>`;

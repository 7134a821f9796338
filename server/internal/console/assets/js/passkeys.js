// Passkeys. A form with data-passkey ("create" or "get") has the browser's
// options in data-options. What the authenticator answers is put into its field
// credential, and the form is sent as any other. Without this script the forms
// stay hidden, and the mail is the way.

const life = 4.5 * 60 * 1000; // a challenge ends after five minutes

const bytes = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
const text = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

// publicKey are the options as the browser wants them: bytes where JSON has base64url.
function publicKey(options) {
  const named = (all) => all?.map((one) => ({ ...one, id: bytes(one.id) }));
  const read = { ...options, challenge: bytes(options.challenge) };
  if (options.user) read.user = { ...options.user, id: bytes(options.user.id) };
  if (options.excludeCredentials) read.excludeCredentials = named(options.excludeCredentials);
  if (options.allowCredentials) read.allowCredentials = named(options.allowCredentials);
  return read;
}

// answer is a credential as JSON.
function answer(credential) {
  const { response } = credential;
  const of = {};
  for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (response[name]) of[name] = text(response[name]);
  }
  if (response.getTransports) of.transports = response.getTransports();
  return JSON.stringify({
    id: credential.id,
    rawId: text(credential.rawId),
    type: credential.type,
    authenticatorAttachment: credential.authenticatorAttachment ?? undefined,
    clientExtensionResults: credential.getClientExtensionResults(),
    response: of,
  });
}

class Ceremony {
  since = performance.now();

  constructor(form) {
    this.form = form;
    this.field = form.elements.credential;
    this.status = form.querySelector("[role=status]");
    form.addEventListener("submit", (event) => this.sent(event));
    form.hidden = false;
    this.offer();
  }

  say(words) {
    this.status.textContent = words ?? "";
  }

  // options are those of the page, or of the page as it is now where they have become old.
  async options() {
    if (performance.now() - this.since > life) {
      const page = await (await fetch(this.form.dataset.refresh)).text();
      const fresh = new DOMParser().parseFromString(page, "text/html").querySelector("form[data-passkey]");
      if (fresh) this.form.dataset.options = fresh.dataset.options;
      this.since = performance.now();
    }
    return publicKey(JSON.parse(this.form.dataset.options));
  }

  async ask(how = {}) {
    const asked = { publicKey: await this.options(), ...how };
    return this.form.dataset.passkey === "create" ? navigator.credentials.create(asked) : navigator.credentials.get(asked);
  }

  send(credential) {
    this.field.value = answer(credential);
    this.rest();
    this.form.requestSubmit();
  }

  // rest tells app.js that the form waits for its person again.
  rest() {
    this.form.dispatchEvent(new Event("sent:over"));
  }

  async sent(event) {
    if (this.field.value) return;
    event.preventDefault();
    this.quiet?.abort();
    this.say();
    try {
      this.send(await this.ask());
    } catch (error) {
      this.rest();
      this.say(error.name === "InvalidStateError" ? this.form.dataset.exists : this.form.dataset.failed);
    }
  }

  // offer shows passkeys among what the browser fills in, where it can.
  async offer() {
    if (!("offer" in this.form.dataset) || !(await PublicKeyCredential.isConditionalMediationAvailable?.())) return;
    this.quiet = new AbortController();
    try {
      this.send(await this.ask({ mediation: "conditional", signal: this.quiet.signal }));
    } catch {
      // Nobody chose one.
    }
  }
}

if (window.PublicKeyCredential) {
  for (const form of document.querySelectorAll("form[data-passkey]")) new Ceremony(form);
}

// A page that came back from the browser's memory has its answer still: it counts no more.
addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  for (const form of document.querySelectorAll("form[data-passkey]")) form.elements.credential.value = "";
});

for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => print());
}

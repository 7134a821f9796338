// Ways to sign in: a passkey from its making to its end, with Chromium's virtual authenticator; an authenticator app with
// its recovery codes; and that the mail stays the way without JavaScript. SHOTS names a folder for pictures.

import assert from "node:assert/strict";
import { createHmac } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { inWindow, narrow, openBrowser, wide } from "./browser.mjs";
import { startDemo } from "./demo.mjs";
import { flaws } from "./look.mjs";
import { asksForMail, follow, heading, isAt, press, sees, signsInByCode } from "./people.mjs";

let demo, browser;
let ahead = 0; // of the demo's clock, in seconds

before(async () => {
  demo = await startDemo("automation");
  browser = await openBrowser();
});

after(async () => {
  await browser?.close();
  await demo?.stop();
});

async function advance(seconds) {
  await demo.advance(`${seconds}s`);
  ahead += seconds;
}

// looks fails if something is wrong with the page that a window shows, in light and dark, wide and narrow.
async function looks(page, name) {
  const found = await flaws(page);
  if (process.env.SHOTS) {
    for (const [mode, size] of [["light", wide], ["dark", narrow]]) {
      await page.emulateMedia({ colorScheme: mode });
      await page.setViewportSize(size);
      await page.screenshot({ path: join(process.env.SHOTS, `${name}-${mode}.png`), fullPage: true });
    }
    await page.emulateMedia({ colorScheme: "light" });
    await page.setViewportSize(wide);
  }
  assert.deepEqual(found, [], name);
}

// device gives a window an authenticator that verifies its user. Without offers the page asks for a passkey by its button only.
async function device(page, { offers = false } = {}) {
  if (!offers) await page.addInitScript(() => (PublicKeyCredential.isConditionalMediationAvailable = async () => false));
  const cdp = await page.context().newCDPSession(page);
  await cdp.send("WebAuthn.enable");
  const options = { protocol: "ctap2", transport: "internal", hasResidentKey: true, hasUserVerification: true, isUserVerified: true, automaticPresenceSimulation: true };
  const { authenticatorId } = await cdp.send("WebAuthn.addVirtualAuthenticator", { options });
  return { verifies: (isUserVerified) => cdp.send("WebAuthn.setUserVerified", { authenticatorId, isUserVerified }) };
}

async function addsPasskey(page, name) {
  await page.goto("/account/passkeys/new");
  await isAt(page, "Add a passkey");
  await page.getByRole("textbox", { name: "Name" }).fill(name);
  await press(page, "Make the passkey");
  await sees(page, `The passkey ${name} is added.`);
}

async function signsOut(page) {
  await page.goto("/account");
  await page.evaluate(() => fetch("/logout", { method: "POST" }));
  await page.goto("/login");
  await isAt(page, "Sign in");
}

test("a passkey is added, signs in, verifies, is renamed and removed", async (t) => {
  const person = demo.people()[1];
  const page = await inWindow(t, browser, demo, { person });
  const { verifies } = await device(page);
  await page.goto("/account/passkeys");
  await looks(page, "passkeys-none");
  await page.goto("/account/passkeys/new");
  await looks(page, "passkey-new");
  await addsPasskey(page, "Laptop");
  assert.match((await demo.mail(person.email)).subject, /Passkey added/);
  await looks(page, "passkeys");

  // The device knows that it has one.
  await page.goto("/account/passkeys/new");
  await press(page, "Make the passkey");
  await sees(page, "This device has a passkey for your account already.");

  await signsOut(page);
  await looks(page, "login");
  await verifies(false);
  await press(page, "Use a passkey");
  await sees(page, "No passkey was used.");
  await verifies(true);
  await press(page, "Use a passkey");
  await isAt(page, "Overview");
  await page.goto("/account/sessions");
  await sees(page, "by passkey");

  await advance(11 * 60);
  await page.goto("/account/passkeys");
  await follow(page, "Rename");
  await page.getByRole("textbox", { name: "Name" }).fill("Old laptop");
  await press(page, "Rename");
  await sees(page, "The passkey is called Old laptop now.");
  await follow(page, "Remove");
  await press(page, "Remove the passkey");
  await isAt(page, "Verify that it is you");
  await looks(page, "verify-passkey");
  await press(page, "Use a passkey");
  await isAt(page, "Remove the passkey Old laptop");
  await press(page, "Remove the passkey");
  await sees(page, "The passkey Old laptop is removed.");
  await signsOut(page);
  await press(page, "Use a passkey");
  await sees(page, "This passkey is not known here");
  await looks(page, "login-refused");
});

test("a browser that offers passkeys signs in from the field of the address", async (t) => {
  const page = await inWindow(t, browser, demo);
  await signsInByCode(page, demo, demo.people()[2].email);
  await device(page, { offers: true });
  await addsPasskey(page, "Phone");
  await page.goto("/account");
  await page.evaluate(() => fetch("/logout", { method: "POST" }));
  await page.goto("/login");
  await isAt(page, "Overview"); // the virtual device chooses by itself
});

// codeOf is what an authenticator app shows (RFC 6238).
function codeOf(secret) {
  const bits = [...secret].map((c) => "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".indexOf(c).toString(2).padStart(5, "0")).join("");
  const key = Buffer.from(bits.match(/.{8}/g).map((byte) => parseInt(byte, 2)));
  const step = Buffer.alloc(8);
  step.writeBigUInt64BE(BigInt(Math.floor((Date.now() / 1000 + ahead) / 30)));
  const hash = createHmac("sha1", key).update(step).digest();
  const at = hash[19] & 15;
  return String((hash.readUInt32BE(at) & 0x7fffffff) % 1_000_000).padStart(6, "0");
}

for (const [how, options, index] of [["with JavaScript", {}, 0], ["without JavaScript", { javaScriptEnabled: false }, 1]]) {
  test(`an authenticator app is set up, asked for, replaced by a recovery code and removed, ${how}`, async (t) => {
    const person = demo.people()[index];
    const page = await inWindow(t, browser, demo, options);
    await signsInByCode(page, demo, person.email);
    const looked = async (name) => options.javaScriptEnabled === false || (await looks(page, name));
    await page.goto("/account/passkeys");
    await press(page, "Set up an authenticator app");
    await isAt(page, "Set up an authenticator app");
    const secret = await page.getByRole("group", { name: "Key" }).locator("code").innerText();
    await looked("totp-setup");
    await page.getByLabel("Code").fill(codeOf(secret));
    await press(page, "Set it up");
    await isAt(page, "Your authenticator app is set up");
    const codes = (await page.locator("pre code").innerText()).trim().split("\n");
    assert.equal(codes.length, 10);
    await looked("recovery-codes");
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("link", { name: "Download" }).click()]);
    assert.ok((await readFile(await download.path(), "utf8")).includes(codes.join("\n")));
    await follow(page, "Done, I stored them");
    await sees(page, "Recovery codes left");
    await looked("passkeys-app");

    for (const [code, method] of [[() => codeOf(secret), "by mail and authenticator app"], [() => codes[0], "by mail and recovery code"]]) {
      await advance(31);
      await page.context().clearCookies();
      await page.goto("/login");
      await asksForMail(page, person.email);
      await page.getByLabel("Code").fill((await demo.mail(person.email)).code);
      await press(page, "Sign in");
      await isAt(page, "One more step");
      await looked("second-factor");
      await page.getByLabel("Code of the app").fill("000000");
      await press(page, "Sign in");
      await sees(page, "The code is wrong");
      await page.getByLabel("Code of the app").fill(code());
      await press(page, "Sign in");
      await isAt(page, "Overview");
      await page.goto("/account/sessions");
      await sees(page, method);
    }
    assert.match((await demo.mail(person.email)).subject, /recovery code was used/);

    await advance(11 * 60);
    await page.goto("/account/totp/delete");
    await press(page, "Remove the app");
    await isAt(page, "Verify that it is you");
    assert.equal(await page.getByRole("button", { name: "Send me a code" }).count(), 0);
    await looked("verify-app");
    await page.getByLabel("Code of the app").fill(codeOf(secret));
    await press(page, "Verify");
    await heading(page).filter({ hasText: "Remove your authenticator app" }).waitFor();
    await press(page, "Remove the app");
    await sees(page, "Your authenticator app is removed.");
  });
}

test("without JavaScript the sign-in page offers the mail alone", async (t) => {
  const page = await inWindow(t, browser, demo, { javaScriptEnabled: false });
  await page.goto("/login");
  await isAt(page, "Sign in");
  assert.equal(await page.getByRole("button").count(), 1);
});

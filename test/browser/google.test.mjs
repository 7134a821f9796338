// Google and GitHub on the sign-in page and among the ways to sign in, with and without JavaScript, against both as they answer.
// SHOTS names a folder for pictures.

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { inWindow, narrow, openBrowser, wide } from "./browser.mjs";
import { startDemo } from "./demo.mjs";
import { GitHub, Google, Outside } from "./fakes.mjs";
import { flaws } from "./look.mjs";
import { asksForMail, follow, isAt, press, sees } from "./people.mjs";

let demo, browser, outside, google, github;

before(async () => {
  outside = new Outside();
  google = await Google.start(outside);
  github = await GitHub.start(outside);
  const file = outside.config([`outbound_allow: 127.0.0.1`, `outbound_ca_file: ${outside.ca}`, `google_client_id: client`, `google_client_secret: s3cret`, `google_issuer: ${google.url}`,
    `github_client_id: app`, `github_client_secret: s3cret`, `github_url: ${github.url}`]);
  demo = await startDemo("automation", "--config", file);
  browser = await openBrowser();
});

after(async () => {
  await browser?.close();
  await demo?.stop();
  outside?.close();
});

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

const window = (t, options) => inWindow(t, browser, demo, { ignoreHTTPSErrors: true, ...options });

// allows is what a person does at Google or GitHub.
async function allows(page, title) {
  await isAt(page, title);
  await page.getByRole("link", { name: "Allow" }).click();
}

for (const javaScriptEnabled of [true, false]) {
  test(`somebody new signs in with Google ${javaScriptEnabled ? "" : "without JavaScript"}`, async (t) => {
    Object.assign(google.claims, { sub: `g-${javaScriptEnabled}`, email: `gil-${javaScriptEnabled}@example.org` });
    const page = await window(t, { javaScriptEnabled });
    await page.goto("/login?return_to=/account/sessions");
    if (javaScriptEnabled) await looks(page, "login-with-google");
    await press(page, "Sign in with Google");
    await allows(page, "Choose an account at Google");
    await isAt(page, "Sessions");
    await sees(page, "with Google");
  });
}

test("an account that is there is linked to GitHub by both proofs, signs in with it, and is unlinked", async (t) => {
  const person = demo.people()[1];
  github.emails = [{ email: person.email, primary: true, verified: true }];
  const page = await window(t);
  await page.goto("/login");
  await press(page, "Sign in with GitHub");
  await allows(page, "Authorize at GitHub");
  await isAt(page, "You have an account already");
  await looks(page, "login-link-first");
  await follow(page, "Sign in by mail");
  await asksForMail(page, person.email);
  await page.getByLabel("Code").fill((await demo.mail(person.email)).code);
  await press(page, "Sign in");
  await isAt(page, "Link GitHub");
  await looks(page, "link-github");
  await press(page, "Go on to GitHub");
  await allows(page, "Authorize at GitHub");
  await isAt(page, "Ways to sign in");
  await sees(page, "GitHub signs you in from now on.");
  await looks(page, "linked-accounts");

  const other = await window(t);
  await other.goto("/login");
  await press(other, "Sign in with GitHub");
  await allows(other, "Authorize at GitHub");
  await isAt(other, "Overview");

  await page.getByRole("link", { name: "Unlink" }).click();
  await press(page, "Unlink the account");
  await sees(page, "GitHub does not sign you in any more.");
  await other.goto("/account/activity");
  await sees(other, "signed in with GitHub");
});

test("whom GitHub knows by an address that it has not verified gets no account, and reads why", async (t) => {
  github.user.id = 12;
  github.emails = [{ email: "nobody@example.org", primary: true, verified: false }];
  const page = await window(t);
  await page.goto("/login");
  await press(page, "Sign in with GitHub");
  await allows(page, "Authorize at GitHub");
  await isAt(page, "You are not signed in");
  await sees(page, "There is no main address of yours that GitHub has verified");
  await looks(page, "not-verified");
});

// Single sign-on against an OpenID provider that others wrote (npm oidc-provider), from the form of the owner to the person who
// comes in: tested, switched on, refused with a reason, another key, signing out from here and from there, and two providers that are
// not mixed up.
// SHOTS names a folder for pictures.

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { inWindow, openBrowser } from "./browser.mjs";
import { startDemo } from "./demo.mjs";
import { Outside, startProvider } from "./fakes.mjs";
import { follow, goes, isAt, press, sees } from "./people.mjs";

const client = { id: "guildhall", secret: "a-secret-that-both-know-of" };
const verified = (email, name) => ({ email, email_verified: true, name });
const accounts = { zoe: verified("zoe@sso.example", "Zoe Zimmermann"), eve: verified("eve@elsewhere.example", "Eve") };

let demo, browser, outside;

before(async () => {
  outside = new Outside();
  const dns = await outside.dns();
  demo = await startDemo("automation", "--config", outside.config([`outbound_allow: 127.0.0.1`, `outbound_ca_file: ${outside.ca}`, `dns_server: ${dns}`]));
  browser = await openBrowser();
  for (const slug of ["acme", "globex"].filter((s) => demo.organization(s))) {
    await demo.api(demo.people(slug)[0], "POST", `/v1/organizations/${slug}/subscription/change`, { plan: "business" });
  }
});

after(async () => {
  await browser?.close();
  await demo?.stop();
  outside?.close();
});

// The provider's own pages name fonts on another machine; that is not ours to judge.
async function window(t, options) {
  const page = await inWindow(t, browser, demo, { ignoreHTTPSErrors: true, ...options });
  const push = page.troubles.push.bind(page.troubles);
  const value = (what) => (/fonts\.(googleapis|gstatic)\.com/.test(what) ? 0 : push(what));
  Object.defineProperty(page.troubles, "push", { value, enumerable: false });
  await page.context().route(/fonts\.(googleapis|gstatic)\.com/, (route) => route.fulfill({ body: "" }));
  return page;
}

async function shot(page, name) {
  if (process.env.SHOTS) await page.screenshot({ path: join(process.env.SHOTS, `${name}.png`), fullPage: true });
}

// signsInThere is what a person does on the provider's pages.
async function signsInThere(page, login) {
  await page.getByPlaceholder("Enter any login").fill(login);
  await page.getByPlaceholder("and password").fill("x");
  await page.getByRole("button", { name: "Sign-in" }).click();
  await page.getByRole("button", { name: "Continue" }).click();
}

// owns proves a domain on its page.
async function owns(page, slug, domain) {
  await page.goto(`/o/${slug}/settings/sso/domains/new`);
  await page.getByLabel("Domain").fill(domain);
  await press(page, "Add the domain");
  await isAt(page, domain);
  const value = (await page.getByRole("main").innerText()).match(/guildhall-domain=\S+/)[0];
  outside.texts.set(`_guildhall-challenge.${domain}`, value);
  await press(page, "Verify");
  await sees(page, "Verified");
}

// connects names a provider on its page, and tells the provider where to send people back to.
async function connects(page, slug, name, provider) {
  await page.goto(`/o/${slug}/settings/sso/connections/new`);
  await page.getByLabel("Name", { exact: true }).fill(name);
  await page.getByLabel("Issuer").fill(provider.url);
  await page.getByLabel("Client id").fill(client.id);
  await page.getByLabel("Client secret").fill(client.secret);
  await page.getByRole("combobox").selectOption("viewer");
  await press(page, "Add the provider");
  await isAt(page, name);
  provider.redirects.push((await page.getByRole("main").innerText()).match(/http:\/\/localhost:\d+\/login\/callback\/con_\w+/)[0]);
  provider.begin();
  return page.url();
}

// tests tries a connection, and leads back to its page.
async function tests(page, at, login) {
  await page.goto(at);
  await press(page, "Test it");
  await signsInThere(page, login);
}

async function switchesOn(page, at, name) {
  await page.goto(`${at}/switch`);
  await page.getByRole("button", { name: /^Switch/ }).last().click();
  await sees(page, `${name} signs people in now.`);
}

async function goesTo(page, email, name) {
  await page.goto("/login");
  await page.getByLabel("E-mail address").fill(email);
  await press(page, "Send me a mail");
  await isAt(page, `Sign in with ${name}`);
  await page.getByRole("link", { name: `Go on to ${name}` }).click();
}

// signsOutThere answers the provider's question.
async function signsOutThere(page) {
  await page.getByRole("button", { name: "Yes, sign me out" }).click();
}

// It comes first: a logout token is over after two minutes, and the demo's clock is moved below.
test("signing out here goes on at the provider, and signing out there ends the session here", async (t) => {
  const provider = await startProvider(outside, { client, redirects: [], accounts: { lea: verified("lea@out.example", "Lea") }, left: [`${demo.url}/login/left`] });
  const page = await window(t, { person: demo.owner() });
  await owns(page, "acme", "out.example");
  const at = await connects(page, "acme", "Exit ID", provider);
  await page.goto(at);
  provider.backchannel = (await page.getByRole("main").innerText()).match(/http:\/\/localhost:\d+\/login\/backchannel\/con_\w+/)[0];
  provider.begin(); // before anybody has read its key
  await tests(page, at, "lea");
  await isAt(page, "The test went well");
  await page.goto(at);
  await page.getByLabel("Domains that are its own").fill("out.example");
  await press(page, "Save whom it is for");
  await sees(page, "Exit ID is saved.");
  await switchesOn(page, at, "Exit ID");

  const lea = await window(t);
  await goesTo(lea, "lea@out.example", "Exit ID");
  await signsInThere(lea, "lea");
  await isAt(lea, "Overview");
  await lea.getByRole("button", { name: "Profile menu" }).click();
  await lea.getByRole("menuitem", { name: "Sign out" }).or(lea.getByRole("button", { name: "Sign out" })).first().click();
  await isAt(lea, "You are signed out");
  await shot(lea, "oidc-signed-out");
  assert.equal((await lea.request.get("/o/acme", { maxRedirects: 0 })).status(), 303); // whatever the provider does
  const asked = lea.waitForRequest((r) => r.url().startsWith(`${provider.url}/session/end`));
  await follow(lea, "Sign out at Exit ID, too");
  const said = new URL((await asked).url()).searchParams;
  assert.equal(said.get("post_logout_redirect_uri"), `${demo.url}/login/left`);
  assert.equal(said.get("id_token_hint").split(".").length, 3);
  await signsOutThere(lea);
  await isAt(lea, "Sign in");
  await sees(lea, "You are signed out.");
  await goesTo(lea, "lea@out.example", "Exit ID");
  await signsInThere(lea, "lea"); // it asks again
  await isAt(lea, "Overview");

  // She signs out at the provider, in another window: the page that is open here is refused at its next request.
  const other = await lea.context().newPage();
  await other.goto(`${provider.url}/session/end`);
  provider.told.length = 0;
  await signsOutThere(other);
  await other.getByText("Sign-out Success").waitFor();
  assert.deepEqual(provider.told, ["taken"]);
  await other.close();
  await goes(lea, "Team");
  await isAt(lea, "Sign in");
  await shot(lea, "oidc-signed-out-there");
  await page.goto("/o/acme");
  assert.equal((await page.goto("/o/acme/settings/team")).status(), 200); // nobody else's ended
});

test("an owner connects a provider, tests it and switches it on; its people come in, others read why not", async (t) => {
  const provider = await startProvider(outside, { client, redirects: [], accounts });
  const page = await window(t, { person: demo.owner() });
  await owns(page, "acme", "sso.example");
  const at = await connects(page, "acme", "Example ID", provider);
  await tests(page, at, "zoe");
  await isAt(page, "The test went well");
  await sees(page, "zoe@sso.example");
  await shot(page, "oidc-test");
  await switchesOn(page, at, "Example ID");

  const zoe = await window(t);
  await goesTo(zoe, "zoe@sso.example", "Example ID");
  await signsInThere(zoe, "zoe");
  await isAt(zoe, "Overview");
  await zoe.goto("/account/sessions");
  await sees(zoe, "by single sign-on");

  const eve = await window(t);
  await goesTo(eve, "eve@sso.example", "Example ID");
  await signsInThere(eve, "eve");
  await isAt(eve, "You are not signed in");
  await sees(eve, "not at a verified domain");
  await shot(eve, "oidc-refused");

  provider.begin(); // another key, and nobody is signed in there any more
  await demo.advance("2m");
  const again = await window(t);
  await goesTo(again, "zoe@sso.example", "Example ID");
  await signsInThere(again, "zoe");
  await isAt(again, "Overview");
});

test("what one provider answers counts for no other", async (t) => {
  const [one, two] = await Promise.all([1, 2].map(() => startProvider(outside, { client, redirects: [], accounts: { mel: verified("mel@mix.example", "Mel") } })));
  const page = await window(t, { person: demo.owner() });
  await owns(page, "acme", "mix.example");
  const first = await connects(page, "acme", "One", one);
  const second = await connects(page, "acme", "Two", two);
  const answered = page.waitForRequest(/\/login\/callback\//, { timeout: 30_000 });
  await tests(page, second, "mel");
  const answer = new URL((await answered).url()).searchParams;
  await isAt(page, "The test went well");
  // The browser is sent to the first, and comes back with an answer of the second. T-058
  const asked = page.waitForRequest((r) => r.url().startsWith(`${one.url}/auth?`));
  await page.goto(first);
  await press(page, "Test it");
  const state = new URL((await asked).url()).searchParams.get("state");
  await page.getByPlaceholder("Enter any login").waitFor();
  const mixed = new URLSearchParams({ state, code: answer.get("code"), iss: answer.get("iss") });
  await page.goto(`/login/callback/${first.split("/").at(-1)}?${mixed}`);
  await isAt(page, "You are not signed in");
  await page.getByText(/the answer is of/i).waitFor();
  assert.equal(await page.getByText("The test went well").count(), 0);
});

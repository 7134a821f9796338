// Single sign-on and single logout with SimpleSAMLphp, an identity provider that is in Debian and that many organizations run: it reads our
// metadata by itself, takes only requests that we have signed, and signs what it says by its own code.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { inWindow, openBrowser } from "./browser.mjs";
import { startDemo } from "./demo.mjs";
import { Outside } from "./fakes.mjs";
import { follow, isAt, opensMember, press, sees } from "./people.mjs";
import { connects, goesTo, owns, switchesOn } from "./saml_people.mjs";
import { startSimpleSAMLphp } from "./simplesamlphp.mjs";

const people = {
  zoe: { password: "zoes-password", email: "zoe@ssp.example", displayName: "Zoe Zimmermann" },
  eve: { password: "eves-password", email: "eve@elsewhere.example", displayName: "Eve" },
};

let demo, browser, outside, provider;

before(async () => {
  outside = new Outside();
  provider = await startSimpleSAMLphp(outside, people, { "validate.authnrequest": true, "validate.logout": true, "sign.logout": true, "redirect.sign": true, "redirect.validate": true });
  demo = await startDemo("automation", "--config", outside.config([`outbound_allow: 127.0.0.1`, `outbound_ca_file: ${outside.ca}`, `dns_server: ${await outside.dns()}`]));
  browser = await openBrowser();
  await demo.api(demo.owner(), "POST", "/v1/organizations/acme/subscription/change", { plan: "business" });
});

after(async () => {
  await browser?.close();
  await demo?.stop();
  outside?.close();
});

// signsInThere is what a person does on the provider's own page.
async function signsInThere(page, login) {
  await page.locator("#username").fill(login);
  await page.locator("#password").fill(people[login].password);
  await page.locator("#regularsubmit button, #submit_button").first().click();
}

// signsOut signs out here.
async function signsOut(page) {
  await page.goto("/o/acme");
  await page.getByRole("button", { name: "Profile menu" }).click();
  await page.getByRole("menuitem", { name: "Sign out" }).or(page.getByRole("button", { name: "Sign out" })).first().click();
}

// window is one whose troubles are ours alone: the provider's own pages are not ours to judge.
async function window(t, options = {}) {
  const page = await inWindow(t, browser, demo, { ignoreHTTPSErrors: true, ...options });
  const push = page.troubles.push.bind(page.troubles);
  Object.defineProperty(page.troubles, "push", { value: (what) => (what.includes(provider.url) ? 0 : push(what)), enumerable: false });
  t.after(() => t.passed === false && console.error(provider.log()));
  return page;
}

test("an owner connects SimpleSAMLphp; its people come in, others read why not, they sign out on both sides, and whoever is suspended is refused", async (t) => {
  const ada = await window(t, { person: demo.owner() });
  await owns(ada, outside, "ssp.example");
  const described = await ada.request.get(`${provider.url}/saml2/idp/metadata.php`);
  assert.equal(described.status(), 200, provider.log());
  const at = await connects(ada, "SimpleSAMLphp", await described.text());
  await sees(ada, "CN=simplesamlphp.test");
  provider.know(await (await ada.request.get(`/login/saml/${at.split("/").at(-1)}/metadata`)).text());

  await ada.goto(at);
  await press(ada, "Test it");
  await signsInThere(ada, "zoe");
  await isAt(ada, "The test went well");
  await sees(ada, "zoe@ssp.example");
  await switchesOn(ada, at, "SimpleSAMLphp");

  const zoe = await window(t);
  await goesTo(zoe, "zoe@ssp.example", "SimpleSAMLphp");
  await signsInThere(zoe, "zoe");
  await isAt(zoe, "Overview");
  await zoe.goto("/account/sessions");
  await sees(zoe, "by single sign-on");

  await signsOut(zoe);
  await isAt(zoe, "You are signed out");
  await follow(zoe, "Sign out at SimpleSAMLphp, too");
  await isAt(zoe, "Sign in");
  await sees(zoe, "You are signed out.");
  await goesTo(zoe, "zoe@ssp.example", "SimpleSAMLphp");
  await signsInThere(zoe, "zoe"); // which asks again
  await isAt(zoe, "Overview");
  await zoe.goto(`${provider.url}/saml2/idp/initSLO.php?RelayState=${encodeURIComponent(`${provider.url}/saml2/idp/metadata.php?output=xhtml`)}`);
  await zoe.goto("/o/acme");
  await isAt(zoe, "Sign in");
  await goesTo(zoe, "zoe@ssp.example", "SimpleSAMLphp");
  await signsInThere(zoe, "zoe");
  await isAt(zoe, "Overview");

  const eve = await window(t);
  await goesTo(eve, "eve@ssp.example", "SimpleSAMLphp");
  await signsInThere(eve, "eve");
  await isAt(eve, "You are not signed in");
  await sees(eve, "not at a verified domain");

  await ada.goto("/o/acme");
  await opensMember(ada, "Zoe Zimmermann");
  await follow(ada, "Suspend");
  await press(ada, "Suspend Zoe Zimmermann");
  await sees(ada, "Zoe Zimmermann is suspended.");
  assert.equal((await zoe.goto("/o/acme")).status(), 403);
  const again = await window(t);
  await goesTo(again, "zoe@ssp.example", "SimpleSAMLphp");
  await signsInThere(again, "zoe");
  await isAt(again, "You are not signed in");
  await sees(again, "this membership is suspended");
});

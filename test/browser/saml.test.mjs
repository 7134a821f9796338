// SAML with a provider that we did not write: samlp, whose answers are signed by xml-crypto and posted from another site; with
// JavaScript and without.

import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { closeWindow, inWindow, narrow, openBrowser, wide } from "./browser.mjs";
import { startDemo } from "./demo.mjs";
import { flaws } from "./look.mjs";
import { Outside } from "./fakes.mjs";
import { follow, isAt, opensMember, press, sees } from "./people.mjs";
import { connects, goesTo, owns, switchesOn } from "./saml_people.mjs";
import { startProvider } from "./samlidp.mjs";

const zoe = { id: "zoe-4711", displayName: "Zoe Zimmermann", name: { givenName: "Zoe", familyName: "Zimmermann" }, emails: [{ value: "zoe@acme.test" }] };

let demo, browser, outside;

before(async () => {
  outside = new Outside();
  demo = await startDemo("automation", "--config", outside.config([`dns_server: ${await outside.dns()}`]));
  browser = await openBrowser();
  const { data } = await demo.api(demo.owner(), "GET", "/v1/organizations/acme/plans");
  const plan = data.at(-1);
  if (!plan.current) await demo.api(demo.owner(), "POST", "/v1/organizations/acme/subscription/change", { plan: plan.id });
});

after(async () => {
  await browser?.close();
  await demo?.stop();
  outside?.close();
});

// looks fails if something is wrong with the page that a window shows, in light and dark, wide and narrow.
async function looks(page, name) {
  const found = page.scripted ? await flaws(page) : []; // what looks for flaws is a script itself
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

const signed = {
  "the assertion": {},
  "the response": { signAssertion: false, signResponse: true },
  "both": { signResponse: true },
  "with SHA-1": { signatureAlgorithm: "rsa-sha1", digestAlgorithm: "sha1" },
};

for (const [how, options] of Object.entries({ "with JavaScript": {}, "without JavaScript": { javaScriptEnabled: false } })) {
  test(`a provider that speaks SAML is connected and tested, ${how}`, async (t) => {
    const provider = await startProvider(zoe);
    t.after(() => provider.stop());
    const ada = await inWindow(t, browser, demo, { person: demo.owner(), ignoreHTTPSErrors: true, ...options });
    ada.scripted = options.javaScriptEnabled !== false;
    await ada.goto("/o/acme/settings/sso/connections/new");
    await follow(ada, "It speaks SAML");
    await isAt(ada, "Connect a provider by SAML");
    await looks(ada, `saml-new-${how.split(" ")[0]}`);
    await ada.getByLabel("Name").fill(`samlp ${how}`);
    await ada.getByLabel("Or the metadata itself").fill(provider.metadata);
    await press(ada, "Add the provider");
    await isAt(ada, `samlp ${how}: addresses and certificates`);
    await sees(ada, "CN=localhost");
    await looks(ada, `saml-settings-${how.split(" ")[0]}`);
    await follow(ada, "To the test");
    await isAt(ada, `samlp ${how}`);
    const at = ada.url();

    for (const [what, changes] of Object.entries(signed)) {
      provider.how = changes;
      await ada.goto(at);
      await press(ada, "Test it");
      await press(ada, "Sign in as Zoe");
      if (options.javaScriptEnabled === false) {
        await isAt(ada, "You are being signed in");
        if (what === "the assertion") await looks(ada, "saml-relay");
        await press(ada, "Go on");
      }
      if (what === "with SHA-1") {
        await isAt(ada, "You are not signed in");
        await sees(ada, "set the provider to RSA or ECDSA with SHA-256");
        continue;
      }
      await isAt(ada, "The test went well");
      await sees(ada, "zoe-4711");
      await sees(ada, "zoe@acme.test");
    }
    await closeWindow(ada);
  });
}

for (const [how, options] of Object.entries({ "with JavaScript": {}, "without JavaScript": { javaScriptEnabled: false } })) {
  test(`people sign in through a provider that speaks SAML until they are suspended, ${how}`, async (t) => {
    const short = how.split(" ")[0];
    const [domain, name] = [`${short}.example`, `samlp of ${short}`];
    const person = { ...zoe, id: `zoe-${short}`, displayName: `Zoe ${short}`, name: { givenName: "Zoe", familyName: short }, emails: [{ value: `zoe@${domain}` }] };
    const provider = await startProvider(person);
    t.after(() => provider.stop());
    const ada = await inWindow(t, browser, demo, { person: demo.owner(), ignoreHTTPSErrors: true, ...options });
    const signsIn = async (page) => {
      await press(page, "Sign in as Zoe");
      if (options.javaScriptEnabled === false) await press(page, "Go on");
    };
    await owns(ada, outside, domain);
    const at = await connects(ada, name, provider.metadata);
    await ada.goto(at);
    await ada.getByLabel("Domains that are its own").fill(domain);
    await press(ada, "Save whom it is for");
    await sees(ada, `${name} is saved.`);
    await press(ada, "Test it");
    await signsIn(ada);
    await isAt(ada, "The test went well");
    await switchesOn(ada, at, name);

    const she = await inWindow(t, browser, demo, { ignoreHTTPSErrors: true, ...options });
    await goesTo(she, `zoe@${domain}`, name);
    await signsIn(she);
    await isAt(she, "Overview");
    await she.goto("/account/sessions");
    await sees(she, "by single sign-on");

    await ada.goto("/o/acme");
    await opensMember(ada, person.displayName);
    await follow(ada, "Suspend");
    await press(ada, `Suspend ${person.displayName}`);
    await sees(ada, `${person.displayName} is suspended.`);
    assert.equal((await she.goto("/o/acme")).status(), 403);
    const again = await inWindow(t, browser, demo, { ignoreHTTPSErrors: true, ...options });
    await goesTo(again, `zoe@${domain}`, name);
    await signsIn(again);
    await isAt(again, "You are not signed in");
    await sees(again, "this membership is suspended");
  });
}

// Somebody who has only the link sets the provider up, tests it and says what its answers mean; the owner switches it on, and then
// the link is over.
for (const [how, options] of Object.entries({ "with JavaScript": {}, "without JavaScript": { javaScriptEnabled: false } })) {
  test(`a provider that speaks SAML is set up by a link, ${how}`, async (t) => {
    const short = how.split(" ")[0];
    const [domain, name] = [`link-${short}.example`, `samlp by a link, ${short}`];
    const provider = await startProvider({ ...zoe, id: `link-${short}`, emails: [{ value: `zoe@${domain}` }] });
    t.after(() => provider.stop());
    const ada = await inWindow(t, browser, demo, { person: demo.owner(), ignoreHTTPSErrors: true, ...options });
    await owns(ada, outside, domain);
    await ada.goto("/o/acme/settings/sso/links/new");
    await press(ada, "Make the link");
    await isAt(ada, "The set-up link");
    const link = new URL(await ada.getByRole("group", { name: "Set-up link" }).getByRole("code").innerText()).pathname;
    await follow(ada, "Done, I sent it");
    await isAt(ada, "Set-up links");

    const it = await inWindow(t, browser, demo, { ignoreHTTPSErrors: true, ...options });
    it.scripted = options.javaScriptEnabled !== false;
    await it.goto(link);
    await isAt(it, "Set up single sign-on for Acme");
    await it.getByRole("link", { name: "SAML", exact: true }).click();
    await it.getByText("Entra ID", { exact: true }).click();
    await it.getByText("App Federation Metadata Url").waitFor();
    const acs = (await it.getByRole("main").innerText()).match(/http:\/\/localhost:\d+\/login\/saml\/con_\w+\/acs/)[0];
    await looks(it, `setup-saml-new-${short}`);
    await it.getByLabel("Name", { exact: true }).fill(name);
    await it.getByLabel("Or the metadata as a file").setInputFiles({ name: "metadata.xml", mimeType: "text/xml", buffer: Buffer.from(provider.metadata) });
    await press(it, "Save the provider");
    await sees(it, "It is named.");
    await sees(it, `${provider.url}/metadata`);
    await looks(it, `setup-saml-named-${short}`);
    const signsIn = async (page) => {
      await press(page, "Sign in as Zoe");
      if (options.javaScriptEnabled === false) await press(page, "Go on");
    };
    provider.how = { signatureAlgorithm: "rsa-sha1", digestAlgorithm: "sha1" };
    await press(it, "Test it");
    await signsIn(it);
    await isAt(it, "You are not signed in");
    await sees(it, "set the provider to RSA or ECDSA with SHA-256");
    await looks(it, `setup-saml-badly-${short}`);
    await follow(it, "Back to the connection");
    await sees(it, "The last test went badly");
    provider.how = {};
    await press(it, "Test it");
    await signsIn(it);
    await isAt(it, "The test went well");
    await sees(it, `link-${short}`);
    await follow(it, "Back to the connection");
    await sees(it, "You are finished");
    await follow(it, "Claims and attributes");
    await isAt(it, `What ${name} says`);
    await it.getByLabel("Address (optional)").fill("nothing");
    if (!it.scripted) await press(it, "Show what comes of it");
    await sees(it, "Nothing says the person's address");
    await it.getByLabel("Address (optional)").fill("http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress");
    if (!it.scripted) await press(it, "Show what comes of it");
    await it.getByRole("definition").filter({ hasText: `zoe@${domain}` }).first().waitFor();
    await looks(it, `setup-saml-mapping-${short}`);
    await press(it, "Save");
    await sees(it, "What it says is read this way from now on.");

    await ada.goto("/o/acme/settings/sso");
    await follow(ada, name);
    await isAt(ada, name);
    const at = ada.url();
    assert.equal(acs.split("/").at(-2), at.split("/").at(-1)); // the addresses were right before it was named
    await ada.getByLabel("Domains that are its own").fill(domain);
    await press(ada, "Save whom it is for");
    await sees(ada, `${name} is saved.`);
    await switchesOn(ada, at, name);
    assert.equal((await it.goto(link)).status(), 410);
    await isAt(it, "This link opens nothing");
    const she = await inWindow(t, browser, demo, { ignoreHTTPSErrors: true, ...options });
    await goesTo(she, `zoe@${domain}`, name);
    await signsIn(she);
    await isAt(she, "You are not signed in"); // the link gives nobody a role
    await sees(she, "nobody has invited this address");
  });
}

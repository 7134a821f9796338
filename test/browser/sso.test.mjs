// Single sign-on and directory sync: a provider is named and read by a mapping, somebody else sets one up by a link, and a
// directory is connected; with JavaScript and without.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { closeWindow, inWindow, openBrowser } from "./browser.mjs";
import { startDemo } from "./demo.mjs";
import { follow, goes, isAt, press, sees } from "./people.mjs";

let demo, browser;

before(async () => {
  demo = await startDemo("automation");
  browser = await openBrowser();
  const { data } = await demo.api(demo.owner(), "GET", "/v1/organizations/acme/plans");
  const plan = data.at(-1);
  if (!plan.current) await demo.api(demo.owner(), "POST", "/v1/organizations/acme/subscription/change", { plan: plan.id });
});

after(async () => {
  await browser?.close();
  await demo?.stop();
});

for (const [how, options] of Object.entries({ "with JavaScript": {}, "without JavaScript": { javaScriptEnabled: false } })) {
  const name = how === "with JavaScript" ? "Okta" : "Keycloak";

  test(`a provider is named, mapped and tried out by a pilot, ${how}`, async (t) => {
    const ada = await inWindow(t, browser, demo, { person: demo.owner(), ...options });
    await ada.goto("/o/acme");
    await goes(ada, "SSO and domains");
    await isAt(ada, "SSO and domains");
    await ada.getByRole("link", { name: "Connect a provider" }).first().click();
    await isAt(ada, "Connect a provider");
    await ada.getByLabel("Name").fill(name);
    await ada.getByLabel("Issuer").fill(`https://${name.toLowerCase()}.test`);
    await ada.getByLabel("Client id").fill("client");
    await ada.getByLabel("Client secret").fill("secret");
    await press(ada, "Add the provider");
    await isAt(ada, name);
    await sees(ada, "/login/callback/con_");

    await follow(ada, "Claims, groups and roles");
    await isAt(ada, `What ${name} says`);
    await ada.getByLabel("Groups (optional)").fill("realm_access.roles");
    await ada.getByLabel("Group 1", { exact: true }).fill("engineering");
    await ada.getByLabel("gives the role").first().selectOption("editor");
    if (how !== "with JavaScript") await press(ada, "Show what comes of it");
    await sees(ada, "No test has gone well yet");
    await press(ada, "Save");
    await isAt(ada, name);
    await sees(ada, "1 group gives a role.");

    await ada.getByLabel("Only the pilot").check();
    await ada.getByLabel("The pilot (optional)").fill("zoe@acme.test\nyan@acme.test");
    await press(ada, "Save the roll-out");
    await sees(ada, `${name} is saved.`);
    assert.match(await ada.getByLabel("The pilot (optional)").inputValue(), /yan@acme\.test\nzoe@acme\.test/);
    await closeWindow(ada);
  });

  test(`somebody without an account sets a provider up by a link, ${how}`, async (t) => {
    const ada = await inWindow(t, browser, demo, { person: demo.owner(), ...options });
    await ada.goto("/o/acme/settings/sso/links/new");
    await ada.getByLabel("For how long").selectOption("24");
    await press(ada, "Make the link");
    await isAt(ada, "The set-up link");
    const link = await ada.getByRole("group", { name: "Set-up link" }).getByRole("code").innerText();
    const it = await inWindow(t, browser, demo, options);
    await it.goto(new URL(link).pathname);
    await isAt(it, "Set up single sign-on for Acme");
    await it.getByLabel("Name").fill(`${name} of IT`);
    await it.getByLabel("Issuer").fill("https://it.test");
    await it.getByLabel("Client id").fill(name);
    await it.getByLabel("Client secret").fill("secret");
    await press(it, "Save the provider");
    await sees(it, "/login/callback/con_");
    await closeWindow(it);
    await follow(ada, "Done, I sent it");
    await isAt(ada, "Set-up links");
    await ada.goto("/o/acme/settings/sso");
    await sees(ada, `${name} of IT`);
    await closeWindow(ada);
  });

  test(`a directory is connected, and its token is shown once, ${how}`, async (t) => {
    const ada = await inWindow(t, browser, demo, { person: demo.owner(), ...options });
    await ada.goto("/o/acme");
    await goes(ada, "Directory sync");
    await isAt(ada, "Directory sync");
    await ada.getByRole("link", { name: "Connect a directory" }).first().click();
    await isAt(ada, "Connect a directory");
    await ada.getByLabel("Name").fill(name);
    await ada.getByLabel("Default role").selectOption("viewer");
    await press(ada, "Connect the directory");
    await isAt(ada, `Connect ${name}`);
    const token = await ada.getByRole("group", { name: "Token" }).getByRole("code").innerText();
    assert.match(token, /^gld_scim_/);
    await follow(ada, "Done, I stored it");
    await isAt(ada, name);
    await sees(ada, "No group gives a role.");
    assert.equal(await ada.getByText(token).count(), 0);
    await closeWindow(ada);
  });
}

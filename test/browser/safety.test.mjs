// What a page must not do whatever is in it, and whoever had the browser before.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { brotliCompressSync } from "node:zlib";
import { closeWindow, inWindow, openBrowser, openWindow } from "./browser.mjs";
import { startDemo } from "./demo.mjs";
import { goes, isAt, press } from "./people.mjs";

let demo, browser;

before(async () => {
  demo = await startDemo("gateway");
  browser = await openBrowser();
});

after(async () => {
  await browser?.close();
  await demo?.stop();
});

// In the manner of the Big List of Naughty Strings: what would run as a script, break out of an attribute, or be taken
// for a template, an attribute of htmx, a format or a key.
const names = [
  "<script>ran()</script>\"><img src=x onerror=ran()>",
  "'\" onmouseover=ran() autofocus onfocus=ran() x='",
  "</title></textarea><iframe srcdoc=<svg/onload=parent.ran()>>",
  "<a href=javascript:ran()>javascript:</a><b hx-get=/logout hx-trigger=load>x</b>",
  "{{constructor.constructor('ran()')()}} ${ran()} %s%n __proto__ null ﷽ 𝕲𝖚 田中 🏛️",
];

// noticing is a window in which a script that runs leaves a mark.
async function noticing(options) {
  const page = await openWindow(browser, demo, options);
  await page.addInitScript(() => (window.ran = () => (document.documentElement.dataset.ran = "yes")));
  return page;
}

// unharmed opens an address, and fails if a script ran there.
async function unharmed(page, address) {
  const answer = await page.goto(address);
  assert.ok(answer.status() < 500, `${address}: ${answer.status()}`);
  await page.mouse.move(400, 300);
  assert.equal(await page.locator("html[data-ran]").count(), 0, `a script ran at ${address}`);
}

// T-068
test("no script runs out of a name", async (t) => {
  const windows = await Promise.all([noticing({ person: demo.owner() }), noticing({ person: demo.owner() }), noticing()]);
  for (const [n, name] of names.entries()) {
    await t.test(name, async () => {
      const tours = [organizationPages(), personPages(), [await call(name, `somebody${n}@acme.test`)]];
      await Promise.all(windows.map((page, w) => shows(page, tours[w], name)));
    });
  }
  for (const page of windows) await closeWindow(page);
});

// shows fails unless every address shows a name as it is, and nothing of it runs.
async function shows(page, addresses, name) {
  for (const address of addresses) {
    await unharmed(page, address);
    assert.ok((await page.getByText(name).count()) > 0, `${address} does not show ${name}`);
  }
}

// call gives the organization, a person and the message of an invitation a name. It gives the invitation's link.
async function call(name, email) {
  const owner = demo.owner();
  await demo.api(owner, "PATCH", "/v1/organizations/acme", { name });
  await demo.api(owner, "PATCH", "/v1/me", { name });
  await demo.api(owner, "POST", "/v1/organizations/acme/invitations", { email, role: "reader", message: name });
  return (await demo.mail(email)).link;
}

const organizationPages = () => ["/o/acme", "/o/acme/settings", "/o/acme/settings/general", "/orgs", "/o/acme/settings/team/leave"];

const personPages = () => ["/account", "/o/acme/settings/team", `/o/acme/settings/team/${demo.owner().member}`, "/o/acme/settings/audit-log",
  "/o/acme/settings/admins", "/o/acme/settings/access?can=members.invite"];

test("no script runs out of a search, a field or a parameter", async () => {
  const page = await noticing({ person: demo.owner() });
  for (const text of [names.join(" "), names[0]].map(encodeURIComponent)) {
    await unharmed(page, `/o/acme/settings/team?q=${text}&role=${text}&sort=${text}`);
    await unharmed(page, `/o/acme/settings/audit-log?q=${text}&actor=${text}`);
    await unharmed(page, `/o/acme/settings/access?who=${text}&can=${text}&on=${text}`);
    await unharmed(page, `/o/acme/settings/team/invite?text=${text}`);
    await unharmed(page, `/orgs/new?name=${text}`);
    await unharmed(page, `/verify?return_to=${text}`);
    await unharmed(page, `/o/${text}`);
    await unharmed(page, `/i/${text}`);
  }
  await closeWindow(page);
});

test("a script that gets into a page does not run", async () => {
  const page = await openWindow(browser, demo, { person: demo.owner() });
  await page.goto("/o/acme");
  await page.evaluate(() => {
    const script = document.createElement("script");
    script.textContent = "document.documentElement.dataset.ran = 'yes'";
    document.body.append(script);
    const image = document.createElement("img");
    image.setAttribute("onerror", "document.documentElement.dataset.ran = 'yes'");
    image.src = "data:,";
    document.body.append(image);
    return image.decode().catch(() => {}); // its error has been told by then
  });
  assert.equal(await page.locator("html[data-ran]").count(), 0);
  await page.context().close();
  assert.match(page.troubles.join("\n"), /Content Security Policy/); // which proves that the tests notice it
});

test("Back shows no page of whoever has signed out", async () => {
  // Playwright turns the cache of whole pages off, which people have.
  const kept = await openBrowser({ ignoreDefaultArgs: ["--disable-back-forward-cache"] });
  try {
    const page = await openWindow(kept, demo, { person: demo.lowest() });
    await page.goto("/o/acme/settings/roles");
    await goes(page, "General");
    await isAt(page, "General");
    await page.getByRole("button", { name: "Profile menu" }).click();
    await press(page, "Sign out");
    await isAt(page, "Sign in");
    await page.goBack();
    await isAt(page, "Sign in");
    await page.goBack();
    await isAt(page, "Sign in");
    assert.equal(await page.getByText("dee@acme.test").count(), 0);
    await closeWindow(page);
  } finally {
    await kept.close();
  }
});

test("no other page can frame the console", async () => {
  const page = await openWindow(browser, demo, { person: demo.owner() });
  const refused = page.waitForEvent("console", (message) => message.text().includes("frame-ancestors"));
  await page.setContent(`<iframe src="${demo.url}/o/acme"></iframe>`);
  await refused;
  await page.context().close();
});

// The budgets of a page, in bytes after brotli.
const budgets = { document: 14 << 10, stylesheet: 10 << 10, script: 25 << 10 };

for (const path of ["/o/acme", "/o/acme/settings/team", "/o/acme/settings/roles", "/o/acme/settings/audit-log", "/login"]) {
  test(`what ${path} is made of keeps within its budget`, async (t) => {
    const page = await inWindow(t, browser, demo, { person: path === "/login" ? undefined : demo.people()[1] });
    const answers = [];
    page.on("response", (answer) => answers.push(answer));
    await page.goto(path);
    const weight = { document: 0, stylesheet: 0, script: 0 };
    for (const answer of answers) weight[answer.request().resourceType()] += brotliCompressSync(await answer.body()).length;
    for (const [kind, budget] of Object.entries(budgets)) {
      assert.ok(weight[kind] > 0 && weight[kind] <= budget, `${kind}: ${weight[kind]} of ${budget}`);
    }
    const most = path === "/login" ? 8 : 7; // the icon of the window is one more than the budget's six, and passkeys have a script
    assert.ok(answers.length <= most, `${answers.length} requests`);
  });
}

// Keys from their form to their end, with JavaScript and without: what a program gets with them is asked of the API.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { closeWindow, openBrowser, openWindow } from "./browser.mjs";
import { startDemo } from "./demo.mjs";
import { lookFlaws } from "./look.mjs";
import { follow, goes, isAt, press, readsInLog, sees } from "./people.mjs";

let demo, browser;

before(async () => {
  demo = await startDemo("gateway");
  browser = await openBrowser();
});

after(async () => {
  await browser?.close();
  await demo?.stop();
});

// me is the status that a credential gets from the API.
const me = async (secret) => (await fetch(`${demo.url}/v1/me`, { headers: { Authorization: `Bearer ${secret}` } })).status;

const shown = (page) => page.getByRole("group", { name: /API key|Scoped token/ }).locator("code").innerText();

// levels are the choices for a group of permissions.
const level = (page, group, name) => page.getByRole("radiogroup", { name: group, exact: true }).getByText(name, { exact: true });

// makes makes a key by its two steps, and gives its secret.
async function makes(page, name) {
  await goes(page, "API keys");
  await page.getByRole("main").getByRole("link", { name: "Create a key" }).first().click();
  await isAt(page, "Create a key");
  await page.getByLabel("Name", { exact: true }).fill(name);
  await level(page, "Prompts", "Choose").click();
  await page.getByLabel("Create and edit prompts").check();
  await level(page, "Endpoints", "Read").click();
  await page.getByLabel("Expires", { exact: true }).selectOption("30d");
  await press(page, "Continue to the summary");
  await sees(page, "It may: view endpoints; create and edit prompts.");
  await press(page, "Create the key");
  await isAt(page, `Store the key ${name}`);
  return shown(page);
}

for (const { how, options, name } of [
  { how: "with JavaScript", options: {}, name: "Ada - release bot" },
  { how: "without JavaScript", options: { javaScriptEnabled: false }, name: "Ada - report bot" },
]) {
  let page, first, second;

  test(`${how}, a key is made, shown once, and works`, async () => {
    page = await openWindow(browser, demo, { person: demo.owner(), ...options });
    await page.goto("/o/acme");
    first = await makes(page, name);
    await sees(page, "Waiting for the first request.");
    assert.equal(await me(first), 200);
    await page.getByRole("link", { name: "Done, I stored it" }).click();
    await isAt(page, name);
    await sees(page, "127.0.0.1");
    await page.goto(`${page.url()}/secret`);
    await sees(page, "was shown once");
    await follow(page, "The key's page");
    await isAt(page, name);
  });

  test(`${how}, it is narrowed`, async () => {
    await follow(page, "Rename or narrow");
    await isAt(page, `Change ${name}`);
    await page.getByLabel("Create and edit prompts").uncheck();
    await press(page, "Save");
    await isAt(page, name);
    await sees(page, "It may: view endpoints.");
  });

  test(`${how}, it is rotated without a gap`, async () => {
    await follow(page, "Rotate");
    await page.getByRole("radio", { name: "1 hour" }).check();
    await press(page, `Rotate ${name}`);
    await isAt(page, `Store the key ${name}`);
    await sees(page, "The key before goes on until");
    second = await shown(page);
    assert.deepEqual([await me(first), await me(second)], [200, 200]);
    await page.getByRole("link", { name: "Done, I stored it" }).click();
    await isAt(page, name);
  });

  test(`${how}, it is revoked, and refused at its next request`, async () => {
    await follow(page, "Revoke");
    await sees(page, "what runs at 127.0.0.1 is refused");
    await page.getByLabel("Reason").fill("it was in a log");
    await press(page, `Revoke ${name}`);
    await isAt(page, "API keys");
    await sees(page, `The key ${name} is revoked.`);
    assert.deepEqual([await me(first), await me(second)], [200, 401]);
    await readsInLog(page, [`Ada revoked the key ${name}`, `Ada rotated the key ${name}`, `Ada changed the key ${name}: permissions`, `Ada made the key ${name}`]);
  });

  test(`${how}, a service account ends with its keys`, async () => {
    await goes(page, "Service accounts");
    await page.getByRole("link", { name: "Create a service account" }).first().click();
    await page.getByLabel("Name", { exact: true }).fill(`nightly ${how}`);
    await page.getByRole("radio", { name: "Developer", exact: true }).check();
    await press(page, "Create the service account");
    await isAt(page, `nightly ${how}`);
    await follow(page, "Create a key");
    await isAt(page, "Create a key");
    await page.getByLabel("Name", { exact: true }).fill("Ada - nightly");
    await level(page, "Prompts", "Read").click();
    await press(page, "Continue to the summary");
    await sees(page, `acts as the service account nightly ${how}`);
    await press(page, "Create the key");
    const secret = await shown(page);
    assert.equal(await me(secret), 200);
    await page.getByRole("link", { name: "Done, I stored it" }).click();
    await goes(page, "Service accounts");
    await page.getByRole("row", { name: `nightly ${how}` }).getByRole("link", { name: `nightly ${how}` }).click();
    await follow(page, "Delete");
    await sees(page, "1 key ends with it, at once.");
    await press(page, `Delete nightly ${how}`);
    await sees(page, "is deleted, and its keys are refused.");
    assert.equal(await me(secret), 401);
  });

  test(`${how}, a token is derived and revoked`, async () => {
    await goes(page, "Scoped tokens");
    await page.getByRole("main").getByRole("link", { name: "Derive a token" }).first().click();
    await page.getByLabel("Name", { exact: false }).first().fill(`run ${how}`);
    await level(page, "Prompts", "Read").click();
    await page.getByLabel("Number of requests").fill("3");
    await press(page, "Derive the token");
    await isAt(page, `Store the token run ${how}`);
    const secret = await shown(page);
    assert.equal(await me(secret), 200);
    await page.getByRole("link", { name: "Done, I stored it" }).click();
    await page.getByRole("row", { name: `run ${how}` }).getByRole("link", { name: "Revoke" }).click();
    await press(page, `Revoke run ${how}`);
    await sees(page, "is revoked, with all derived from it.");
    assert.equal(await me(secret), 401);
  });

  test(`${how}, nothing went wrong in the browser`, () => closeWindow(page));
}

test("what the key may is said while it is chosen, and the light turns by itself", async () => {
  const page = await openWindow(browser, demo, { person: demo.owner() });
  await page.goto("/o/acme/settings/api-keys/new?name=Ada+-+live");
  await sees(page, "It may do nothing yet.");
  await level(page, "Prompts", "Read").click();
  await sees(page, "It may: view prompts and snippets.");
  assert.deepEqual(await lookFlaws(page), []);
  await press(page, "Continue to the summary");
  assert.deepEqual(await lookFlaws(page), []);
  await press(page, "Create the key");
  await sees(page, "Waiting for the first request.");
  assert.deepEqual(await lookFlaws(page), []);
  assert.equal(await me(await shown(page)), 200);
  await sees(page, "Used from 127.0.0.1");
  await page.getByRole("link", { name: "Done, I stored it" }).click();
  await isAt(page, "Ada - live");
  await closeWindow(page);
});

test("who leaves before the key is copied is asked once", async () => {
  const page = await openWindow(browser, demo, { person: demo.owner() });
  let asked = 0;
  page.on("dialog", (dialog) => dialog.type() === "beforeunload" && asked++);
  await page.goto("/o/acme");
  await makes(page, "Ada - forgotten");
  await goes(page, "Team"); // the question is answered with staying
  await isAt(page, "Store the key Ada - forgotten");
  assert.equal(asked, 1);
  await page.getByRole("link", { name: "Done, I stored it" }).click();
  await isAt(page, "Ada - forgotten");
  assert.equal(asked, 1);
  await closeWindow(page);
});

test("g k leads to the keys, and n to a new one", async () => {
  const page = await openWindow(browser, demo, { person: demo.owner() });
  await page.goto("/o/acme");
  await page.keyboard.press("g");
  await page.keyboard.press("k");
  await isAt(page, "API keys");
  await page.keyboard.press("n");
  await isAt(page, "Create a key");
  await closeWindow(page);
});

// The documentation: saying whether a page helped, searching, and choosing the language of an example, with JavaScript and
// without.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { inWindow, openBrowser } from "./browser.mjs";
import { startDemo } from "./demo.mjs";
import { isAt, press, sees } from "./people.mjs";

let demo, browser;

before(async () => {
  demo = await startDemo("automation");
  browser = await openBrowser();
});

after(async () => {
  await browser?.close();
  await demo?.stop();
});

for (const [how, options] of [["with JavaScript", {}], ["without JavaScript", { javaScriptEnabled: false }]]) {
  test(`${how}: a reader says no with a sentence, and changes it`, async (t) => {
    const page = await inWindow(t, browser, demo, options);
    await page.goto("/docs/keys");
    await press(page, "No");
    await sees(page, "You said that this page did not help.");
    await page.getByLabel("What is missing or wrong?").fill("no example of a rotation");
    await press(page, "No");
    await sees(page, "You said that this page did not help.");
    await press(page, "Yes");
    await sees(page, "You said that this page helped.");
    assert.equal(await page.getByLabel("What is missing or wrong?").inputValue(), "no example of a rotation");
  });

  test(`${how}: a reader searches, and chooses the language of an example`, async (t) => {
    const page = await inWindow(t, browser, demo, options);
    await page.goto("/docs/search?q=keys.revoke");
    await isAt(page, "Search the documentation");
    await page.getByRole("link", { name: "keys.revoke", exact: true }).click();
    await isAt(page, "Keys");
    const samples = page.locator("section", { has: page.locator('[id="keys.revoke"]') }).locator(".samples");
    await samples.getByText("Go", { exact: true }).click();
    assert.match(await samples.locator("pre:visible").first().innerText(), /credential\.RevokeKey\.Call/);
  });
}

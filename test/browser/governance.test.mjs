// Findings and access reviews: a finding is mended by one press, and a review is started, decided and completed, with
// JavaScript and without.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { closeWindow, inWindow, openBrowser } from "./browser.mjs";
import { startDemo } from "./demo.mjs";
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

for (const [how, options] of Object.entries({ "with JavaScript": {}, "without JavaScript": { javaScriptEnabled: false } })) {
  const key = `ci ${how}`;

  test(`a finding is mended by one press, ${how}`, async (t) => {
    await demo.api(demo.owner(), "POST", "/v1/organizations/acme/keys", { name: key, kind: "personal", permissions: ["prompts.view"], expires_at: "30d" });
    const ada = await inWindow(t, browser, demo, { person: demo.owner(), ...options });
    await ada.goto("/o/acme");
    await goes(ada, "Findings");
    await isAt(ada, "Findings");
    const row = ada.getByRole("row", { name: `Key ${key} does not say whose it is` });
    await row.getByRole("button", { name: `Call it Ada - ${key}` }).click();
    await sees(ada, `Mended: Call it Ada - ${key}.`);
    assert.equal(await row.count(), 0);
    const { data } = await demo.api(demo.owner(), "GET", "/v1/organizations/acme/keys");
    assert.ok(data.some((k) => k.name === `Ada - ${key}`));
  });

  test(`a finding that ends access asks first, and one that is as it should be is dismissed, ${how}`, async (t) => {
    await demo.api(demo.owner(), "POST", "/v1/organizations/acme/keys", { name: `Ada - ${how}`, kind: "personal", permissions: ["prompts.view"], expires_at: "never" });
    const ada = await inWindow(t, browser, demo, { person: demo.owner(), ...options });
    await ada.goto("/o/acme/settings/findings");
    const row = ada.getByRole("row", { name: `Key Ada - ${how} never ends` });
    await row.getByRole("link", { name: "Dismiss" }).click();
    await ada.getByLabel("Why is it as it should be?").fill("rotated by hand");
    await press(ada, "Dismiss until then");
    await sees(ada, "The finding is dismissed until then.");
    assert.equal(await row.count(), 0);
    await follow(ada, "Dismissed");
    await sees(ada, "rotated by hand");
    await row.getByRole("button", { name: "Show again" }).click();
    await sees(ada, "The finding is shown again.");
    await row.waitFor();
  });

  test(`a review is started, decided and completed, ${how}`, async (t) => {
    const email = how === "with JavaScript" ? "wanda@acme.test" : "wendy@acme.test";
    await demo.api(demo.owner(), "POST", "/v1/organizations/acme/invitations", { email, role: "reader" });
    const ada = await inWindow(t, browser, demo, { person: demo.owner(), ...options });
    await ada.goto("/o/acme");
    await goes(ada, "Access reviews");
    await isAt(ada, "Access reviews");
    await ada.getByRole("link", { name: "Start a review" }).first().click();
    await isAt(ada, "Start a review");
    await ada.getByLabel("Title").fill(`Q4 ${how}`);
    await press(ada, "Start the review");
    await isAt(ada, `Q4 ${how}`);
    await sees(ada, "rows wait for a decision");
    // Dee is kept by the button beside the row, Cy is lowered with a reason, and the others are kept at once.
    const dee = ada.getByRole("row", { name: "Dee" });
    await dee.getByRole("button", { name: "Keep", exact: true }).click();
    await sees(ada, "Dee: Keep.");
    const cy = ada.getByRole("row", { name: "Cy" });
    if (how === "with JavaScript") {
      await cy.getByRole("link", { name: "Change", exact: true }).click();
      await ada.getByRole("radio", { name: "Reduce" }).check();
      await ada.getByLabel("Lower role").selectOption("Reader");
      await ada.getByLabel("Why").fill("writes no prompts any more");
      await press(ada, "Decide");
      await sees(ada, "Cy: Reduce.");
    }
    await ada.getByRole("link", { name: "Keep every row shown that is not decided" }).click();
    await press(ada, "Keep them");
    await sees(ada, "kept.");
    await ada.getByRole("row", { name: "Ada" }).getByText("Yours").waitFor();
    await ada.getByRole("link", { name: "Complete the review" }).click();
    await sees(ada, "The row of Ada is not decided");
    await ada.getByRole("link", { name: "Keep what nobody decided" }).click();
    if (how === "with JavaScript") await sees(ada, "becomes Reader");
    await press(ada, "Complete the review");
    await sees(ada, "The review is complete, and what was decided is in force.");
    const { data } = await demo.api(demo.owner(), "GET", "/v1/organizations/acme/members?q=cy");
    assert.equal(data[0].role, "reader");
    await readsInLog(ada, [`Ada completed the review Q4 ${how}`, `Ada started the review Q4 ${how}`]);
    await closeWindow(ada);
  });
}

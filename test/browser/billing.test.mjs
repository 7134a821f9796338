// Billing: a plan that is previewed and changed, taken back and cancelled; invoices; and what a locked feature brings.
// With JavaScript and without.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { inWindow, narrow, openBrowser } from "./browser.mjs";
import { startDemo } from "./demo.mjs";
import { follow, goes, isAt, press, sees } from "./people.mjs";

let demo, browser;

before(async () => {
  demo = await startDemo("automation");
  browser = await openBrowser();
});

after(async () => {
  await browser?.close();
  await demo?.stop();
});

// has fails unless an organization has that plan.
async function has(slug, plan) {
  const owner = demo.people(slug)[0];
  const subscription = await demo.api(owner, "GET", `/v1/organizations/${slug}/subscription`);
  assert.equal(subscription.plan, plan);
  return subscription;
}

// tooLong are the buttons whose words do not fit them.
const tooLong = (page) =>
  page.locator(".btn:visible").evaluateAll((all) => all.filter((b) => b.scrollWidth > b.clientWidth + 1).map((b) => b.textContent.trim()));

test("a greater plan is previewed to the cent, and is there at once", async (t) => {
  const ada = await inWindow(t, browser, demo, { person: demo.owner() });
  await ada.goto("/o/acme");
  await goes(ada, "Billing");
  await isAt(ada, "Billing");
  await sees(ada, "INV-000003");
  await follow(ada, "Look at the plans");
  await isAt(ada, "Plans");
  await follow(ada, "Choose Business");
  const change = ada.getByRole("button", { name: /^Change to Business for USD / });
  await change.waitFor();
  await sees(ada, "Remaining time of Business, by the month");
  await sees(ada, "is gained. Members sign in through Okta");
  await has("acme", "pro"); // looking changes nothing
  const due = (await change.innerText()).replace("Change to Business for ", "");
  await change.click();
  await isAt(ada, "Billing");
  await sees(ada, `The plan is Business now. ${due} is invoiced.`);
  await has("acme", "business");
  await sees(ada, "INV-000004");
});

for (const [how, options] of Object.entries({ "with JavaScript": {}, "without JavaScript": { javaScriptEnabled: false } })) {
  test(`a smaller plan waits, and is taken back; a cancellation too, ${how}`, async (t) => {
    const ada = await inWindow(t, browser, demo, { person: demo.owner(), ...options });
    const { plan } = await demo.api(demo.owner(), "GET", "/v1/organizations/acme/subscription");
    await ada.goto("/o/acme/settings/billing/plans/free");
    await sees(ada, "is lost. A person answers within two hours");
    await ada.getByRole("button", { name: /^Change to Free on / }).click();
    await isAt(ada, "Billing");
    await sees(ada, /The plan becomes Free on/);
    assert.equal((await has("acme", plan)).change.plan, "free");
    await ada.getByRole("button", { name: /^Stay on / }).click();
    await sees(ada, /goes on\./);
    await follow(ada, "Cancel the plan");
    await ada.getByLabel("Reason").fill("the project has ended");
    await ada.getByRole("button", { name: /^Cancel (Pro|Business)$/ }).click();
    await sees(ada, /The plan \w+ ends on/);
    assert.equal((await has("acme", plan)).cancel_at_period_end, true);
    await ada.getByRole("button", { name: /^Stay on / }).click();
    await sees(ada, /goes on\./);
    assert.equal((await has("acme", plan)).cancel_at_period_end, false);
  });

  test(`a locked feature says what it brings, and which plan has it, ${how}`, async (t) => {
    const gus = await inWindow(t, browser, demo, { person: demo.people("globex")[0], ...options });
    await gus.goto("/o/globex/settings");
    await sees(gus, "With another plan");
    await sees(gus, "Members sign in through Okta, GitHub or another identity provider.");
    await sees(gus, "USD 499.00 a month with the plan Business.");
    await gus.getByRole("link", { name: "What the plan Business gives" }).first().click();
    await gus.getByRole("button", { name: /^Change to Business for USD / }).waitFor();
    await sees(gus, "is gained. Members sign in through Okta");
  });
}

test("an invoice is read, printed and downloaded", async (t) => {
  const ada = await inWindow(t, browser, demo, { person: demo.owner() });
  await ada.goto("/o/acme/settings/billing");
  await follow(ada, "INV-000003");
  await isAt(ada, "Invoice INV-000003");
  await sees(ada, "Acme Robotics GmbH");
  await sees(ada, "USD 91.13");
  await ada.emulateMedia({ media: "print" });
  for (const name of ["Download PDF", "Billing"]) assert.equal(await ada.getByRole("link", { name, exact: true }).first().isVisible(), false, name);
  await ada.emulateMedia({ media: "screen" });
  const saved = ada.waitForEvent("download");
  await follow(ada, "Download PDF");
  assert.match((await saved).suggestedFilename(), /\.pdf$/);
});

test("verbs fit a narrow screen", async (t) => {
  const ada = await inWindow(t, browser, demo, { person: demo.owner(), viewport: narrow });
  for (const path of ["", "/plans", "/plans/free", "/plans/pro?at=now", "/cancel"]) {
    await ada.goto(`/o/acme/settings/billing${path}`);
    assert.deepEqual(await tooLong(ada), [], path);
  }
});

test("who may not see billing is told who may", async (t) => {
  const fay = await inWindow(t, browser, demo, { person: demo.lowest() });
  await fay.goto("/o/acme/settings/billing/plans");
  await sees(fay, "Only those who manage billing can change the plan. Ask");
  assert.equal(await fay.getByRole("link", { name: /^Choose / }).count(), 0);
  const answer = await fay.goto("/o/acme/settings/billing");
  assert.equal(answer.status(), 403);
  await sees(fay, "Ada");
});

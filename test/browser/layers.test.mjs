// What stands over a page, and what comes back from a form: menus, dialogs, refused forms.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { closeWindow, narrow, openBrowser, openWindow, wide } from "./browser.mjs";
import { startDemo } from "./demo.mjs";
import { lookFlaws } from "./look.mjs";
import { follow, goes, hasFocus, isAt, press, sees } from "./people.mjs";

let demo, browser, page;

before(async () => {
  demo = await startDemo("gateway");
  browser = await openBrowser();
  page = await openWindow(browser, demo, { person: demo.owner() });
});

after(async () => {
  await browser?.close();
  await demo?.stop();
});

test("a page with the sidebar in the dark", async () => {
  await page.goto("/o/acme/settings");
  assert.deepEqual(await lookFlaws(page), []);
});

for (const { name, menu } of [
  { name: "Profile menu", menu: "Profile menu" },
  { name: /Switch organization/, menu: "Organizations" },
  { name: "Actions for Dee", menu: "Actions for Dee" },
]) {
  test(`the menu ${menu}`, async () => {
    await page.goto("/o/acme/settings/team");
    await page.getByRole("button", { name }).click();
    await page.getByRole("group", { name: menu }).waitFor();
    assert.deepEqual(await lookFlaws(page), []);
  });
}

for (const verb of ["Change role", "Set an end date", "Suspend", "Remove"]) {
  test(`the dialog ${verb}`, async () => {
    await page.goto("/o/acme/settings/team");
    await page.getByRole("button", { name: "Actions for Dee" }).click();
    await page.getByRole("group", { name: "Actions for Dee" }).getByRole("link", { name: verb, exact: true }).click();
    await page.getByRole("dialog").waitFor();
    assert.deepEqual(await lookFlaws(page), []);
  });
}

test("a dialog is the page of its address without one", async () => {
  await page.goto("/o/acme/settings/team");
  await page.getByRole("button", { name: "Actions for Dee" }).click();
  const address = await page.getByRole("group", { name: "Actions for Dee" }).getByRole("link", { name: "Remove" }).getAttribute("href");
  await page.goto(address);
  await isAt(page, "Remove Dee from Acme");
  await follow(page, "Cancel");
  await isAt(page, "Dee");
});

test("a question before a change leaves no trace in the audit log", async () => {
  const { member } = demo.people()[1];
  for (const question of ["role", "remove", "suspend", "transfer"]) await page.goto(`/o/acme/settings/team/${member}/${question}`);
  await demo.mail("max@acme.test"); // which also writes what is gathered for the log
  await goes(page, "Audit log");
  await page.getByRole("rowheader", { name: "Ada changed Bo" }).waitFor();
  assert.equal(await page.getByRole("rowheader", { name: "Ada was refused" }).count(), 0);
});

test("the sidebar is a menu on narrow screens", async () => {
  await page.goto("/o/acme");
  await page.setViewportSize(narrow);
  await press(page, "Menu");
  await goes(page, "Roles");
  await isAt(page, "Roles");
  await press(page, "Menu");
  assert.deepEqual(await lookFlaws(page), []);
  await page.setViewportSize(wide);
});

test("an invitation without anything is refused, and says so", async () => {
  await page.goto("/o/acme/settings/team/invite");
  await press(page, "Continue");
  await page.getByRole("alert").waitFor();
  await isAt(page, "Invite people");
  assert.deepEqual(await lookFlaws(page), []);
});

test("a list of invitations has a verdict on each", async () => {
  await page.goto("/o/acme/settings/team/invite");
  await page.getByLabel("People", { exact: true }).fill("uma@acme.test, bo@acme.test, max@acme.test, nobody");
  await page.getByRole("radio", { name: "Reader", exact: true }).check();
  await press(page, "Continue");
  await page.getByRole("row", { name: /bo@acme\.test/ }).waitFor();
  assert.deepEqual(await lookFlaws(page), []);
});

test("a wrong time zone is said beside its field, which has the focus", async () => {
  await page.goto("/o/acme/settings/general");
  await page.getByLabel("Time zone").fill("Mars/Olympus");
  await press(page, "Save");
  await page.getByRole("alert").getByRole("link").waitFor();
  const field = page.getByLabel("Time zone");
  assert.equal(await field.getAttribute("aria-invalid"), "true");
  await hasFocus(field);
  assert.deepEqual(await lookFlaws(page), []);
});

test("a link of an invitation is shown once", async () => {
  await page.goto("/o/acme/settings/team?tab=invitations");
  await page.getByRole("button", { name: "Actions for max@acme.test" }).click();
  await page.getByRole("link", { name: /link/i }).click();
  await page.getByRole("button", { name: /link/i }).last().click();
  await sees(page, "Only a hash is kept");
  assert.deepEqual(await lookFlaws(page), []);
  const secret = (await page.getByText(/\/i\/\w{20,}/).first().textContent()).trim();
  await page.reload();
  assert.equal(await page.getByText(secret).count(), 0);
});

test("nothing went wrong in the browser", () => closeWindow(page));

// The same working day with JavaScript off: links, forms, and pages where there are dialogs otherwise.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { closeWindow, inWindow, openBrowser, openWindow } from "./browser.mjs";
import { startDemo } from "./demo.mjs";
import * as people from "./people.mjs";

const { follow, goes, isAt, press, sees } = people;
const plain = { javaScriptEnabled: false };

let demo, browser, ada, zoe;

before(async () => {
  demo = await startDemo("gateway");
  browser = await openBrowser();
  ada = await openWindow(browser, demo, plain);
  zoe = await openWindow(browser, demo, plain);
});

after(async () => {
  await browser?.close();
  await demo?.stop();
});

test("scripts are off", async () => {
  await ada.goto("/login");
  const ran = await ada.evaluate(() => "htmx" in window);
  assert.equal(ran, false);
});

test("Ada signs in with the link in her mail", () => people.signsInByLink(ada, demo, "ada@acme.test"));

test("Bo signs in with the code in his mail", async (t) => {
  const bo = await inWindow(t, browser, demo, plain);
  await people.signsInByCode(bo, demo, "bo@acme.test");
});

test("Ada invites Zoe, who joins in a browser of her own", async () => {
  await people.invites(ada, "zoe@acme.test", "Admin");
  await people.joins(zoe, demo, "zoe@acme.test", "Zoe");
});

test("Ada pastes a list, sees a verdict on each, and sends it", async () => {
  await goes(ada, "Team");
  await follow(ada, "Invite people");
  await ada.getByLabel("People", { exact: true }).fill("Una <una@acme.test>, zoe@acme.test\nnot an address; vic@acme.test");
  await ada.getByRole("radio", { name: "Reader", exact: true }).check();
  await press(ada, "Continue");
  await ada.getByRole("row", { name: /zoe@acme\.test.*member/i }).waitFor();
  await ada.getByRole("button", { name: /2/ }).click();
  await isAt(ada, "Invitations");
  await ada.getByRole("row", { name: "vic@acme.test" }).waitFor();
  assert.match((await demo.mail("una@acme.test")).subject, /Ada invites you/);
});

test("Ada filters the team by a form", async () => {
  await goes(ada, "Team");
  await ada.getByLabel("Search members").fill("zoe");
  await press(ada, "Filter");
  await ada.getByRole("row", { name: "Zoe" }).waitFor();
  assert.equal(await ada.getByRole("row", { name: "Bo" }).count(), 0);
  assert.match(ada.url(), /q=zoe/);
});

test("Zoe's role is changed, and her page loses its verbs at the next click", async () => {
  await goes(zoe, "Team");
  await isAt(zoe, "Team");
  await people.changesRole(ada, "Zoe", "Developer");
  const [answer] = await Promise.all([zoe.waitForResponse(/settings\/team/), goes(zoe, "Team")]);
  assert.equal(answer.status(), 403);
  await isAt(zoe, "You do not have access to this page");
});

test("a role that manages nothing is taken back with Undo", async () => {
  await people.changesRole(ada, "Zoe", "Reader");
  await press(ada, "Undo");
  await sees(ada, "Zoe is Developer now, on every session.");
});

test("a wrong field is said, and what was typed is kept", async () => {
  await goes(ada, "General");
  await ada.getByLabel("Time zone").fill("Mars/Olympus");
  await press(ada, "Save");
  await ada.getByRole("alert").waitFor();
  assert.equal(await ada.getByLabel("Time zone").inputValue(), "Mars/Olympus");
  await ada.getByLabel("Time zone").fill("Europe/Rome");
  await press(ada, "Save");
  await sees(ada, "are saved.");
});

test("Ada removes Zoe, after she has verified that it is her", async () => {
  await demo.advance("11m");
  await people.asksToRemove(ada, "Zoe");
  await isAt(ada, "Remove Zoe from Acme");
  await ada.getByLabel("Reason").fill("moved on");
  await press(ada, "Remove Zoe");
  await people.verifies(ada, demo, "ada@acme.test");
  await isAt(ada, "Remove Zoe from Acme");
  assert.equal(await ada.getByLabel("Reason").inputValue(), "moved on"); // typed before
  await press(ada, "Remove Zoe");
  await sees(ada, "Zoe is removed.");
});

test("Zoe's next click is refused", async () => {
  const [answer] = await Promise.all([zoe.waitForResponse(/\/o\/acme/), goes(zoe, "Roles")]);
  assert.equal(answer.status(), 404);
  await closeWindow(zoe);
});

test("the audit log says all of it in sentences", async () => {
  await people.readsInLog(ada, [
    "Ada removed Zoe",
    "Ada changed Zoe from Reader to Developer",
    "Ada changed Zoe from Developer to Reader",
    "Ada changed Zoe from Admin to Developer",
    "accepted the invitation of zoe@acme.test",
    "Ada invited zoe@acme.test as Admin",
  ]);
});

test("Ada cancels an invitation, and its link is over", async (t) => {
  await ada.goto("/o/acme/settings/team?tab=invitations");
  const row = ada.getByRole("row", { name: "vic@acme.test" });
  await row.getByRole("button", { name: /vic@acme\.test/ }).click(); // its menu: a popover, which needs no script
  await row.getByRole("link", { name: "Cancel" }).click();
  await ada.getByRole("button", { name: /^Cancel the invitation/ }).click();
  await isAt(ada, "Invitations");
  const vic = await inWindow(t, browser, demo, plain);
  await vic.goto((await demo.mail("vic@acme.test")).link);
  await isAt(vic, "This invitation is over");
});

test("Ada hands the ownership to Bo", async () => {
  await people.transfersOwnership(ada, "Bo");
  await goes(ada, "Overview");
  await sees(ada, "You are Admin in Acme.");
});

test("Ada chooses the dark mode", async () => {
  await ada.getByRole("button", { name: "Profile menu" }).click();
  await press(ada, "Dark");
  await isAt(ada, "Overview");
  assert.equal(await ada.locator("html").getAttribute("data-theme"), "dark");
});

test("Ada ends another session of hers, and it is refused at its next click", async (t) => {
  const phone = await inWindow(t, browser, demo, { ...plain, userAgent: "Mozilla/5.0 (Android 16; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0" });
  await people.signsInByCode(phone, demo, "ada@acme.test");
  await ada.goto("/account/sessions");
  await ada.getByRole("row", { name: /Firefox/ }).getByRole("button", { name: "End" }).click();
  await sees(ada, "has ended.");
  await goes(phone, "Roles");
  await isAt(phone, "Sign in");
});

test("Ada leaves, and signs out", async () => {
  await ada.goto("/o/acme/settings/team/leave");
  await press(ada, "Leave Acme");
  await isAt(ada, "Choose an organization");
  await press(ada, "Sign out");
  await isAt(ada, "Sign in");
});

test("nothing went wrong in Ada's browser", () => closeWindow(ada));

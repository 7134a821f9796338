// A working day in the console, with everything that JavaScript adds: what one person does and what another one, in a
// browser of their own, finds at their next click.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { closeWindow, inWindow, openBrowser, openWindow } from "./browser.mjs";
import { startDemo } from "./demo.mjs";
import * as people from "./people.mjs";

const { follow, goes, hasFocus, isAt, press, sees } = people;

let demo, browser, ada, zoe;

before(async () => {
  demo = await startDemo("gateway");
  browser = await openBrowser();
  ada = await openWindow(browser, demo);
  zoe = await openWindow(browser, demo);
});

after(async () => {
  await browser?.close();
  await demo?.stop();
});

test("Ada signs in with the link in her mail", async () => {
  await people.signsInByLink(ada, demo, "ada@acme.test");
  await sees(ada, "You are Owner in Acme.");
});

test("the link of a mail works once", async (t) => {
  const stranger = await inWindow(t, browser, demo);
  await stranger.goto((await demo.mail("ada@acme.test")).link);
  await press(stranger, "Sign in");
  await isAt(stranger, "This link no longer works");
});

test("Bo signs in with the code in his mail, after a wrong one", async (t) => {
  const bo = await inWindow(t, browser, demo);
  await bo.goto("/o/acme/settings/roles");
  await people.asksForMail(bo, "bo@acme.test");
  const { code } = await demo.mail("bo@acme.test");
  await bo.getByLabel("Code").fill(code === "000000" ? "000001" : "000000");
  await press(bo, "Sign in");
  await bo.getByRole("alert").or(bo.getByText("code is wrong")).first().waitFor();
  await bo.getByLabel("Code").fill(code);
  await press(bo, "Sign in");
  await isAt(bo, "Roles"); // where he wanted to go
});

test("Ada invites Zoe, who joins in a browser of her own", async () => {
  await people.invites(ada, "zoe@acme.test", "Admin");
  await people.joins(zoe, demo, "zoe@acme.test", "Zoe");
  await sees(zoe, "You are Admin in Acme.");
});

test("a link to join is good for one person only", async (t) => {
  const stranger = await inWindow(t, browser, demo);
  const answer = await stranger.goto((await demo.mail("zoe@acme.test")).link);
  assert.equal(answer.status(), 410);
  await isAt(stranger, "This invitation is over");
});

test("Zoe's role is changed, and her page loses its verbs at the next click", async () => {
  await goes(zoe, "General");
  await zoe.getByRole("button", { name: "Save", exact: true }).waitFor();

  await people.changesRole(ada, "Zoe", "Developer");

  await goes(zoe, "General");
  await isAt(zoe, "General");
  await sees(zoe, "Your role, Developer, does not include:");
  assert.equal(await zoe.getByRole("button", { name: "Save", exact: true }).count(), 0);
  assert.equal(await zoe.getByRole("link", { name: "Team", exact: true }).count(), 0);
});

test("Zoe is told what the team's page needs", async () => {
  const answer = await zoe.goto("/o/acme/settings/team");
  assert.equal(answer.status(), 403);
  await isAt(zoe, "You do not have access to this page");
  await sees(zoe, "Your role lacks members.view.");
});

test("what Zoe may still see she still sees", async () => {
  await goes(zoe, "Overview");
  await isAt(zoe, "Overview");
});

test("the dialog in which somebody is removed begins on Cancel, and Escape leaves it", async () => {
  await people.asksToRemove(ada, "Zoe");
  const dialog = ada.getByRole("dialog", { name: "Remove Zoe from Acme" });
  await dialog.waitFor();
  await hasFocus(dialog.getByRole("link", { name: "Cancel" }));
  await ada.keyboard.press("Escape");
  await dialog.waitFor({ state: "detached" });
  await hasFocus(ada.getByRole("main").getByRole("link", { name: "Remove" }));
});

test("Ada removes Zoe, after she has verified that it is her", async () => {
  await demo.advance("11m");
  await people.asksToRemove(ada, "Zoe");
  await press(ada, "Remove Zoe");
  await people.verifies(ada, demo, "ada@acme.test");
  await isAt(ada, "Remove Zoe from Acme");
  await press(ada, "Remove Zoe");
  await isAt(ada, "Access of Zoe");
  await sees(ada, "Zoe is removed. No session reaches Acme any more.");
  await sees(ada, "Refused");
  await goes(ada, "Team");
  await isAt(ada, "Team");
  assert.equal(await ada.getByRole("row", { name: "Zoe" }).count(), 0);
});

test("Zoe's next click is refused", async () => {
  const [answer] = await Promise.all([zoe.waitForResponse(/\/o\/acme\//), goes(zoe, "Roles")]);
  assert.equal(answer.status(), 404);
  await isAt(zoe, "There is nothing here");
  await closeWindow(zoe);
});

test("the audit log says all of it in sentences", async () => {
  await people.readsInLog(ada, [
    "Ada removed Zoe",
    "Ada changed Zoe from Admin to Developer",
    "accepted the invitation of zoe@acme.test",
    "Ada invited zoe@acme.test as Admin",
  ]);
});

test("an event of the log tells what was before and after", async () => {
  await ada.getByRole("link", { name: "Ada changed Zoe from Admin to Developer" }).click();
  await isAt(ada, "Ada changed Zoe from Admin to Developer");
  const row = await ada.getByRole("row", { name: /^role/i }).innerText();
  assert.match(row, /admin\s+developer/i);
});

test("Ada changes the settings, and a change made from an older page is not lost unseen", async (t) => {
  const bo = await inWindow(t, browser, demo, { person: demo.people()[1] });
  await bo.goto("/o/acme/settings/general");

  await goes(ada, "General");
  await ada.getByLabel("Name", { exact: true }).fill("Acme & Sons");
  await press(ada, "Save");
  await sees(ada, "The settings of Acme & Sons are saved.");

  await bo.getByLabel("Name", { exact: true }).fill("Acme Bros");
  await press(bo, "Save");
  await sees(bo, "Somebody saved these settings while you were changing them.");
  await bo.getByRole("row", { name: "Name Acme & Sons Acme Bros" }).waitFor();
  await follow(bo, "Keep theirs");
  assert.equal(await bo.getByLabel("Name", { exact: true }).inputValue(), "Acme & Sons");
});

test("a field that is wrong is said, has the focus, and keeps what was typed", async () => {
  await goes(ada, "General");
  await ada.getByLabel("Time zone").fill("Mars/Olympus");
  await press(ada, "Save");
  await ada.getByRole("alert").waitFor();
  await hasFocus(ada.getByLabel("Time zone"));
  assert.equal(await ada.getByLabel("Time zone").inputValue(), "Mars/Olympus");
  await ada.getByLabel("Time zone").fill("Europe/Rome");
  await press(ada, "Save");
  await sees(ada, "are saved.");
});

test("Ada hands the ownership to Bo, and is an admin from then on", async (t) => {
  await people.transfersOwnership(ada, "Bo", "Acme & Sons");
  await goes(ada, "Overview");
  await sees(ada, "You are Admin in Acme & Sons.");

  const bo = await inWindow(t, browser, demo, { person: demo.people()[1] });
  await bo.goto("/o/acme");
  await sees(bo, "You are Owner in Acme & Sons.");
  assert.match((await demo.mail("bo@acme.test")).subject, /own/i);
});

test("Ada ends another session of hers, and it is refused at its next click", async (t) => {
  const phone = await inWindow(t, browser, demo, { userAgent: "Mozilla/5.0 (Android 16; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0" });
  await people.signsInByCode(phone, demo, "ada@acme.test");

  await ada.goto("/account/sessions");
  const row = ada.getByRole("row", { name: /Firefox/ });
  await row.getByRole("button", { name: "End" }).click();
  await sees(ada, "has ended.");
  await row.waitFor({ state: "detached" });

  await goes(phone, "Roles");
  await isAt(phone, "Sign in");
});

test("Ada signs out", async () => {
  await ada.getByRole("button", { name: "Profile menu" }).click();
  await press(ada, "Sign out");
  await isAt(ada, "Sign in");
  await ada.goto("/o/acme");
  await isAt(ada, "Sign in");
});

test("nothing went wrong in Ada's browser", () => closeWindow(ada));

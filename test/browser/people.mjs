// What people do in the console, step by step, as they see it: by labels and names, never by ids or classes. The steps
// are the same with JavaScript, where some pages are dialogs, and without it.

import assert from "node:assert/strict";

export const heading = (page) => page.getByRole("heading", { level: 1 });

// sees waits for a text.
export const sees = (page, text) => page.getByText(text).first().waitFor();

// isAt waits for a page by its heading.
export async function isAt(page, name) {
  await page.getByRole("heading", { level: 1, name, exact: true }).waitFor();
}

// hasFocus waits until what is named has the focus: it moves when the page is next drawn, or a script has run.
export const hasFocus = (locator) => locator.and(locator.page().locator(":focus")).waitFor();

export const press = (page, name) => page.getByRole("button", { name, exact: true }).click();
export const follow = (page, name) => page.getByRole("main").getByRole("link", { name, exact: true }).click();

// goes opens a page by the sidebar.
export const goes = (page, name) =>
  page.getByRole("navigation", { name: "Organization", exact: true }).getByRole("link", { name, exact: true }).click();

// asksForMail types an address on the sign-in page, and has the mail sent.
export async function asksForMail(page, email) {
  await isAt(page, "Sign in");
  await page.getByLabel("E-mail address").fill(email);
  await press(page, "Send me a mail");
  await isAt(page, "Look into your mail");
}

// signsInByCode signs in with the code of the mail.
export async function signsInByCode(page, demo, email) {
  await page.goto("/login");
  await asksForMail(page, email);
  await page.getByLabel("Code").fill((await demo.mail(email)).code);
  await press(page, "Sign in");
  await isAt(page, "Overview");
}

// signsInByLink signs in with the link of the mail, in the browser that asked for it.
export async function signsInByLink(page, demo, email) {
  await page.goto("/login");
  await asksForMail(page, email);
  await page.goto((await demo.mail(email)).link);
  await isAt(page, "Sign in"); // opening the link has not used it up
  await press(page, "Sign in");
  await isAt(page, "Overview");
}

// verifies proves again who uses the session, by a mailed code.
export async function verifies(page, demo, email) {
  await isAt(page, "Verify that it is you");
  await press(page, "Send me a code");
  await isAt(page, "Look into your mail");
  await page.getByLabel("Code").fill((await demo.mail(email)).code);
  await press(page, "Verify");
}

// invites invites one address from the team's page.
export async function invites(page, email, role) {
  await goes(page, "Team");
  await isAt(page, "Team");
  await follow(page, "Invite people");
  await isAt(page, "Invite people");
  await page.getByLabel("People", { exact: true }).fill(email);
  await page.getByRole("radio", { name: role, exact: true }).check();
  await press(page, "Continue");
  await isAt(page, "Invitations");
  await page.getByRole("row", { name: email }).waitFor();
}

// joins opens the link of an invitation's mail, and accepts it under a name.
export async function joins(page, demo, email, name, organization = "Acme") {
  await page.goto((await demo.mail(email)).link);
  await isAt(page, `Join ${organization}`);
  await page.getByLabel("Your name").fill(name);
  await press(page, `Join ${organization}`);
  await isAt(page, "Overview");
  await sees(page, `You are a member of ${organization} now`);
}

// opensMember opens somebody's page from the team's.
export async function opensMember(page, name) {
  await goes(page, "Team");
  await isAt(page, "Team");
  await page.getByRole("row", { name }).getByRole("link", { name, exact: true }).click();
  await isAt(page, name);
}

// changesRole gives somebody another role.
export async function changesRole(page, name, role) {
  await opensMember(page, name);
  await follow(page, "Change role");
  await page.getByRole("radio", { name: role, exact: true }).check();
  await press(page, `Change the role of ${name}`);
  await isAt(page, "Team");
  await sees(page, `${name} is ${role} now, on every session.`);
}

// asksToRemove opens the question before somebody is removed.
export async function asksToRemove(page, name) {
  await opensMember(page, name);
  await follow(page, "Remove");
  await page.getByRole("button", { name: `Remove ${name}`, exact: true }).waitFor();
}

// transfersOwnership hands ownership over, at once.
export async function transfersOwnership(page, name, organization = "Acme") {
  await opensMember(page, name);
  await follow(page, "Transfer ownership");
  await page.getByLabel(`Type ${name} to confirm`).fill(name);
  await press(page, `Transfer ownership to ${name}`);
  await sees(page, `${name} owns ${organization} now.`);
}

// sentences are what the audit log says, the newest first.
export async function sentences(page) {
  await goes(page, "Audit log");
  await isAt(page, "Audit log");
  return page.getByRole("table").getByRole("rowheader").allInnerTexts();
}

// readsInLog fails unless the audit log has these sentences, in this order (the newest first).
export async function readsInLog(page, wanted) {
  const got = (await sentences(page)).filter((s) => wanted.some((w) => s.includes(w)));
  assert.deepEqual(got.map((s) => wanted.find((w) => s.includes(w))), wanted);
}

// What people do by keyboard alone. No element is clicked or focused by the test: it presses keys until the focus is
// where it should be, as a person does.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { closeWindow, openBrowser, openWindow } from "./browser.mjs";
import { startDemo } from "./demo.mjs";
import { hasFocus, isAt, sees } from "./people.mjs";

let demo, browser, page;

before(async () => {
  demo = await startDemo("automation");
  browser = await openBrowser();
  page = await openWindow(browser, demo, { person: demo.owner() });
});

after(async () => {
  await browser?.close();
  await demo?.stop();
});

const key = (name) => page.keyboard.press(name);

const focused = (locator) => locator.evaluate((element) => element === document.activeElement);

// chooses gets to the group that a radio button stands in, and there to the button by the arrow keys.
async function chooses(radio, by = "Tab") {
  const inGroup = () => radio.evaluate((element) => document.activeElement.type === "radio" && document.activeElement.name === element.name);
  for (let presses = 0; presses < 80 && !(await inGroup()); presses++) await key(by);
  await reaches(radio, "ArrowDown");
  await key("Space");
  assert.ok(await radio.isChecked());
}

// reaches presses a key until something has the focus, and fails if it never gets it, or if it cannot be seen there.
async function reaches(locator, by = "Tab") {
  for (let presses = 0; presses < 80; presses++) {
    if (await focused(locator)) return seen(locator);
    await key(by);
  }
  assert.fail(`${by} never reaches ${locator}`);
}

// seen fails unless what has the focus shows that it has, and nothing covers it.
async function seen(locator) {
  const how = await locator.evaluate((element) => {
    const style = getComputedStyle(element);
    const { left, top, width, height } = element.getBoundingClientRect();
    const hit = document.elementFromPoint(left + width / 2, top + height / 2);
    return { ring: style.outlineStyle, covered: !(element.contains(hit) || hit?.contains(element)) };
  });
  assert.notEqual(how.ring, "none", `${locator} does not show that it has the focus`);
  assert.equal(how.covered, false, `${locator} has the focus and is covered`);
}

test("the skip link leads past the navigation", async () => {
  await page.goto("/o/acme");
  await key("Tab");
  await seen(page.getByRole("link", { name: "Skip to content" }));
  await key("Enter");
  await hasFocus(page.getByRole("main"));
});

test("somebody is invited by keyboard only", async () => {
  await key("g");
  await key("t");
  await isAt(page, "Team");
  await key("i");
  await isAt(page, "Invite people");
  await reaches(page.getByLabel("People", { exact: true }));
  await page.keyboard.type("kim@acme.test");
  await chooses(page.getByRole("radio", { name: "Viewer", exact: true }));
  await reaches(page.getByRole("button", { name: "Continue" }));
  await key("Enter");
  await isAt(page, "Invitations");
  await page.getByRole("row", { name: "kim@acme.test" }).waitFor();
});

test("a shortcut never fires in a field", async () => {
  await page.goto("/o/acme/settings/team");
  await key("/");
  const search = page.getByLabel("Search members");
  await reaches(search);
  await page.keyboard.type("gti");
  assert.equal(await search.inputValue(), "gti");
  await isAt(page, "Team");
});

test("a role is changed by keyboard only", async () => {
  await page.goto("/o/acme/settings/team");
  const row = page.getByRole("row", { name: "Bo" });
  await reaches(row.getByRole("button", { name: "Actions for Bo" }));
  await key("Enter");
  await reaches(row.getByRole("link", { name: "Change role" }));
  await key("Enter");
  const dialog = page.getByRole("dialog", { name: "Change the role of Bo" });
  await reaches(dialog.getByRole("link", { name: "Cancel" })); // where the focus begins
  await chooses(dialog.getByRole("radio", { name: "Viewer", exact: true }), "Shift+Tab");
  await reaches(dialog.getByRole("button", { name: "Change the role of Bo" }));
  await key("Enter");
  await sees(page, "Bo is Viewer now, on every session.");
});

test("the focus does not leave an open dialog, and Escape gives it back", async () => {
  await page.goto("/o/acme/settings/team");
  const row = page.getByRole("row", { name: "Bo" });
  await reaches(row.getByRole("button", { name: "Actions for Bo" }));
  await key("Enter");
  await reaches(row.getByRole("link", { name: "Remove" }));
  await key("Enter");
  const dialog = page.getByRole("dialog", { name: "Remove Bo from Acme" });
  await reaches(dialog.getByRole("link", { name: "Cancel" }));
  for (let presses = 0; presses < 20; presses++) {
    await key("Tab");
    const inside = await page.evaluate(() => document.activeElement === document.body || !!document.activeElement.closest("dialog"));
    assert.ok(inside, "the focus is behind the dialog");
  }
  await key("Escape");
  await dialog.waitFor({ state: "detached" });
});

test("a suspension is taken back with the Undo of the toast, by keyboard only", async () => {
  await page.goto("/o/acme/settings/team");
  await reaches(page.getByRole("row", { name: "Bo" }).getByRole("link", { name: "Bo", exact: true }));
  await key("Enter");
  await isAt(page, "Bo");
  await reaches(page.getByRole("main").getByRole("link", { name: "Suspend" }));
  await key("Enter");
  await reaches(page.getByRole("dialog").getByRole("button", { name: "Suspend Bo" }));
  await key("Enter");
  await sees(page, "Bo is suspended.");
  await reaches(page.getByRole("button", { name: "Undo" }));
  await key("Enter");
  await sees(page, "Bo has access again");
});

test("nothing went wrong in the browser", () => closeWindow(page));

// Usage as people see it: figures that move while one looks, a table beside each drawing, files with the same figures, and
// money for those alone who may see it.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { inWindow, openBrowser } from "./browser.mjs";
import { startDemo } from "./demo.mjs";
import { flaws } from "./look.mjs";
import { follow, isAt, press, sees } from "./people.mjs";

let demo, browser;

before(async () => {
  demo = await startDemo("gateway");
  browser = await openBrowser();
});

after(async () => {
  await browser?.close();
  await demo?.stop();
});

const usage = "/o/acme/settings/usage";

// record is what the product's back end does.
const record = (organization, event) =>
  demo.api({ token: demo.told.service_key }, "POST", `/v1/organizations/${organization}/usage/events`, event);

const tile = (page, name) => page.locator(".stat", { has: page.getByRole("heading", { name, exact: true }) }).locator(".value");

const figure = async (page, name) => Number((await tile(page, name).innerText()).replace(/\D/g, ""));

test("what is recorded moves the figure of an open page", async (t) => {
  const page = await inWindow(t, browser, demo, { person: demo.owner() });
  await page.goto(usage);
  await page.getByText("Live", { exact: true }).waitFor();
  const before = await figure(page, "Requests");
  await record("acme", { meter: "requests", value: 120 });
  await tile(page, "Requests").getByText(`${before + 120} requests`).or(page.getByText(`${before + 120} requests`, { exact: true })).first().waitFor();
  assert.equal(await figure(page, "Requests"), before + 120);
});

test("without a script the figures are those of the moment, and can be asked for again", async (t) => {
  const page = await inWindow(t, browser, demo, { person: demo.owner(), javaScriptEnabled: false });
  await page.goto(usage);
  const before = await figure(page, "Requests");
  await record("acme", { meter: "requests", value: 5 });
  await page.getByRole("link", { name: "Refresh" }).click();
  await isAt(page, "Usage");
  assert.equal(await figure(page, "Requests"), before + 5);
});

test("a page of somebody who is no member any more says that it is not live", async (t) => {
  const lost = demo.people().at(1);
  const page = await inWindow(t, browser, demo, { person: lost });
  await page.goto(usage);
  await page.getByText("Live", { exact: true }).waitFor();
  await demo.api(demo.owner(), "POST", `/v1/organizations/acme/members/${lost.member}/remove`, {});
  await page.getByText("Not live any more").waitFor();
});

test("the drawing has a table with its figures, and the file has the same", async (t) => {
  const page = await inWindow(t, browser, demo, { person: demo.owner() });
  await page.goto(`${usage}?meter=input_tokens&by=model&range=7d`);
  const drawing = page.getByRole("img", { name: "Input tokens by day and model" });
  assert.match(await drawing.locator("desc").textContent(), /tokens from .* \(UTC\)/);
  await page.getByText("The same as a table").click();
  const rows = await page.getByRole("table", { name: "Input tokens by day and model" }).getByRole("row").allInnerTexts();
  assert.equal(rows.length, 8);
  const figures = rows.slice(1).map((row) => row.split("\t").slice(1).map((cell) => cell.trim().replaceAll(",", "")));
  const href = await page.getByRole("link", { name: "This table as CSV" }).getAttribute("href");
  const answer = await page.request.get(href);
  assert.equal(answer.headers()["content-type"], "text/csv; charset=utf-8");
  const lines = (await answer.text()).trim().split("\n").slice(1);
  assert.deepEqual(lines.map((line) => line.split(",").slice(1)), figures);
});

test("who may not see money sees none", async (t) => {
  const owners = await inWindow(t, browser, demo, { person: demo.owner() });
  await owners.goto(usage);
  await sees(owners, "Cost to date");
  const readers = await inWindow(t, browser, demo, { person: demo.lowest() });
  await readers.goto(usage);
  await isAt(readers, "Usage");
  assert.doesNotMatch(await readers.locator("main").innerText(), /USD|Cost/);
});

for (const { how, options } of [
  { how: "with JavaScript", options: {} },
  { how: "without JavaScript", options: { javaScriptEnabled: false } },
]) {
  test(`${how}, a budget is made and a member is limited`, async (t) => {
    const page = await inWindow(t, browser, demo, { person: demo.owner(), ...options });
    await page.goto(usage);
    await page.getByRole("link", { name: "Limits and budgets" }).click();
    await isAt(page, "Limits and budgets");
    await follow(page, "Make a budget");
    await page.getByLabel("Name").fill(how);
    await page.getByLabel("Amount").fill("300");
    await press(page, "When would it have fired?");
    await sees(page, "In the last three periods");
    await press(page, "Make the budget");
    await sees(page, `The budget ${how} is in force.`);
    await page.getByRole("row", { name: how }).waitFor();
    await follow(page, "Limit a member or key");
    await page.getByLabel("Member or key").selectOption({ label: demo.owner().name ?? "Ada" });
    await page.getByLabel("Limit", { exact: true }).fill("250");
    await press(page, "Set the limit");
    await sees(page, "The limit is in force.");
    await page.getByRole("row", { name: "250 requests" }).waitFor();
  });
}

test("the pages are whole in every state", async (t) => {
  const page = await inWindow(t, browser, demo, { person: demo.owner() });
  const states = ["", "?meter=callers&range=12m", "?meter=input_tokens&by=meter", "?range=before&region=us-east-1", "?from=yesterday", "/requests?range=1h", "/alerts", "/alerts/new", "/limits"];
  for (const state of states) {
    await page.goto(usage + state);
    assert.deepEqual(await flaws(page), [], state);
  }
});

// Files: stored, found, downloaded, shared by a link, kept by a legal hold, deleted; and a retention that says what it
// deletes before it is changed. With JavaScript and without.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { after, before, test } from "node:test";
import { inWindow, openBrowser } from "./browser.mjs";
import { startDemo } from "./demo.mjs";
import { follow, goes, isAt, press, readsInLog, sees } from "./people.mjs";

let demo, browser;

before(async () => {
  demo = await startDemo("automation");
  browser = await openBrowser();
});

after(async () => {
  await browser?.close();
  await demo?.stop();
});

// puts stores a file of acme's, as its product does.
async function puts(name, text) {
  const answer = await fetch(`${demo.url}/v1/organizations/acme/artifacts?name=${encodeURIComponent(name)}&resource=execution:ex_9`, {
    method: "POST",
    headers: { Authorization: `Bearer ${demo.owner().token}`, "Content-Type": "text/plain" },
    body: text,
  });
  assert.equal(answer.status, 201, await answer.text());
}

// row is the line of a table with a name.
const row = (page, name) => page.getByRole("row", { name });

// retentionIs fails unless that is acme's.
async function retentionIs(days) {
  const { retention_days } = await demo.api(demo.owner(), "GET", "/v1/organizations/acme");
  assert.equal(retention_days, days);
}

for (const [how, options] of Object.entries({ "with JavaScript": {}, "without JavaScript": { javaScriptEnabled: false } })) {
  const name = `result ${how}.txt`;

  test(`a file is found, downloaded, shared and deleted, ${how}`, async (t) => {
    await puts(name, "all is well");
    const ada = await inWindow(t, browser, demo, { person: demo.owner(), ...options });
    await ada.goto("/o/acme");
    await goes(ada, "Files");
    await isAt(ada, "Files");
    await ada.getByLabel("Search files by name").fill(name);
    await press(ada, "Filter");
    await row(ada, name).getByText("execution:ex_9").waitFor();
    await follow(ada, name);
    await isAt(ada, name);
    await sees(ada, "11 bytes");

    const saved = ada.waitForEvent("download");
    await follow(ada, "Download");
    const download = await saved;
    assert.equal(download.suggestedFilename(), name);
    assert.equal(await readFile(await download.path(), "utf8"), "all is well");

    await follow(ada, "Make a link");
    await ada.getByRole("radio", { name: "for an hour" }).check();
    await press(ada, "Make a link");
    await isAt(ada, `Link to ${name}`);
    const link = (await ada.getByRole("main").innerText()).match(/http\S*artifact-links\S+/)[0];
    assert.equal(await (await fetch(link)).text(), "all is well");

    await ada.goBack();
    await goes(ada, "Files");
    await follow(ada, name);
    await isAt(ada, name);
    await follow(ada, "Delete");
    await press(ada, `Delete ${name}`);
    await sees(ada, "The file is deleted.");
    assert.equal(await row(ada, name).count(), 0);
    assert.equal((await fetch(link)).status, 410);
    await readsInLog(ada, [`deleted the file ${name}`, `made a link to the file ${name}`]);
  });

  test(`a legal hold keeps a file until it is released, ${how}`, async (t) => {
    await puts(name, "all is well");
    const ada = await inWindow(t, browser, demo, { person: demo.owner(), ...options });
    await ada.goto("/o/acme/settings/artifacts");
    await follow(ada, name);
    await follow(ada, "Put under a legal hold");
    await isAt(ada, "Legal holds");
    await ada.getByLabel("Reason").fill(`case 24 ${how}`);
    await press(ada, "Put under legal hold");
    await sees(ada, `The hold for case 24 ${how} is in force.`);
    await follow(ada, "Files");
    await row(ada, name).getByText("Legal hold").waitFor();
    await follow(ada, name);
    await isAt(ada, name);
    assert.equal(await ada.getByRole("main").getByRole("link", { name: "Delete", exact: true }).count(), 0);
    await ada.goto("/o/acme/settings/artifacts/holds");
    await row(ada, `case 24 ${how}`).getByRole("link", { name: "Release" }).click();
    await ada.getByLabel("Why is it over?").fill("the case is closed");
    await press(ada, "Release the hold");
    await sees(ada, "The hold is released.");
    await row(ada, `case 24 ${how}`).getByText("Released: the case is closed").waitFor();
  });

  test(`a retention says what it deletes before it is changed, ${how}`, async (t) => {
    await demo.api(demo.owner(), "PATCH", "/v1/organizations/acme", { retention_days: 30 });
    const ada = await inWindow(t, browser, demo, { person: demo.owner(), ...options });
    await ada.goto("/o/acme");
    await goes(ada, "General");
    await isAt(ada, "General");
    await sees(ada, "come with the plan Business");
    await follow(ada, "What retention deletes, and when");
    await isAt(ada, "Artifact retention");
    await ada.getByLabel("And after how many days?").fill("7");
    await press(ada, "Show");
    await sees(ada, "Deleted after 7 days");
    await follow(ada, "Change the retention");
    await isAt(ada, "General");
    assert.equal(await ada.getByLabel("Artifact retention, in days").inputValue(), "7");
    await press(ada, "Save");
    await isAt(ada, "Change where and how long data is kept");
    await sees(ada, "would delete nothing at once");
    await retentionIs(30);
    await press(ada, "Save these settings");
    await sees(ada, "The settings of Acme are saved.");
    await retentionIs(7);
    await ada.getByLabel("Artifact retention, in days").fill("0");
    await press(ada, "Save");
    await sees(ada, "comes with the plan Business");
    await retentionIs(7);
  });
}

test("what is over its time is deleted, and proved", async (t) => {
  await puts("old.txt", "it was");
  await fetch(`${demo.url}/dev/clock`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ advance: "192h" }) });
  const ada = await inWindow(t, browser, demo, { person: demo.owner() });
  await ada.goto("/o/acme/settings/general/retention");
  await isAt(ada, "Artifact retention");
  await sees(ada, "Retention");
  assert.ok((await ada.getByRole("table", { name: "Deleted last" }).getByRole("row").count()) > 1);
  await ada.goto("/o/acme/settings/artifacts?q=old.txt");
  await sees(ada, "No file matches these filters.");
});

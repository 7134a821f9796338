// An organization is deleted with a preview, closed for everybody and everything, and restored as it was within its grace.
// With JavaScript and without.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { inWindow, openBrowser } from "./browser.mjs";
import { startDemo } from "./demo.mjs";
import { follow, goes, isAt, press, sees, sentences } from "./people.mjs";

let demo, browser;

before(async () => {
  demo = await startDemo("gateway");
  browser = await openBrowser();
});

after(async () => {
  await browser?.close();
  await demo?.stop();
});

// answers is the status of a request with a credential, and the code of its refusal.
async function answers(credential) {
  const got = await fetch(`${demo.url}/v1/organizations/acme`, { headers: { Authorization: `Bearer ${credential}` } });
  const { code } = await got.json();
  return code ? `${got.status} ${code}` : `${got.status}`;
}

for (const [how, options] of Object.entries({ "with JavaScript": {}, "without JavaScript": { javaScriptEnabled: false } })) {
  test(`an organization is deleted and restored, ${how}`, async (t) => {
    const admin = demo.people()[1];
    const ada = await inWindow(t, browser, demo, { person: demo.owner(), ...options });
    const bo = await inWindow(t, browser, demo, { person: admin, ...options });
    await ada.goto("/o/acme");
    await goes(ada, "General");
    await isAt(ada, "General");
    await follow(ada, "Delete the organization");
    await isAt(ada, "Delete Acme");
    await sees(ada, "loses access");
    await sees(ada, "can restore it, as it was");
    await ada.getByLabel("Type Acme to confirm").fill("acme");
    await press(ada, "Delete Acme");
    await isAt(ada, "Delete Acme"); // the name is written otherwise
    assert.equal(await answers(admin.token), "200");
    await ada.getByLabel("Type Acme to confirm").fill("Acme");
    await ada.getByLabel("Reason").fill(`moving on ${how}`);
    await press(ada, "Delete Acme");
    await isAt(ada, "Acme is scheduled for deletion");
    await sees(ada, `moving on ${how}`);

    // Access has ended for everybody, on pages and for programs.
    assert.equal(await answers(admin.token), "403 organization_deleted");
    await bo.goto("/o/acme/settings/team");
    await isAt(bo, "Acme is scheduled for deletion");
    await sees(bo, "ask an owner");
    assert.equal(await bo.getByRole("button", { name: "Restore Acme" }).count(), 0);

    await ada.goto("/orgs");
    await sees(ada, "Scheduled for deletion");
    await ada.goto("/o/acme/deleted");
    await ada.getByLabel("Reason").fill("a mistake");
    await press(ada, "Restore Acme");
    await sees(ada, "Acme is restored.");
    assert.equal(await answers(admin.token), "200");
    await bo.goto("/o/acme/settings/team");
    await isAt(bo, "Team");
    const said = await sentences(ada);
    for (const sentence of ["Ada restored Acme", "Ada scheduled Acme for deletion"]) assert.ok(said.some((s) => s.includes(sentence)), `${sentence}: ${said}`);
  });
}

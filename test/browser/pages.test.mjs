// Every page of the console, as an owner and as whoever has the lowest role see it, in light and dark, wide and narrow,
// with each of the three charters.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { closeWindow, openBrowser } from "./browser.mjs";
import { startDemo } from "./demo.mjs";
import { flaws } from "./look.mjs";
import { guide, openPeople, routes, states, whoSees } from "./tour.mjs";

let browser;

before(async () => (browser = await openBrowser()));

after(() => browser?.close());

const tours = {
  automation: routes(),
  gateway: [...routes(), ...states()],
  documents: routes(),
};

for (const [charter, tour] of Object.entries(tours)) {
  test(`every page, with the charter ${charter}`, async (t) => {
    const demo = await startDemo(charter);
    t.after(() => demo.stop());
    const people = await openPeople(browser, demo);
    const addressOf = await guide(demo);
    for (const route of tour) {
      await t.test(route.path, async () => {
        const found = whoSees(route, people).map((page) => flawsAt(page, addressOf(route.path, page.person)));
        assert.deepEqual((await Promise.all(found)).flat(), []);
      });
    }
    for (const page of Object.values(people)) await closeWindow(page);
  });
}

// flawsAt opens an address and lists what is wrong there.
async function flawsAt(page, address) {
  const answer = await page.goto(address);
  const found = answer.status() < 500 ? await flaws(page) : [`${answer.status()}`];
  const headers = answer.headers();
  if (!headers["cache-control"]?.includes("no-store")) found.push("may be stored");
  return found.map((what) => `${page.person?.role ?? "stranger"} at ${address}: ${what}`);
}

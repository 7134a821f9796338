// A tour through every page of the console, as an owner and as whoever has the lowest role see it.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { closeWindow, openBrowser } from "./browser.mjs";
import { startDemo } from "./demo.mjs";
import { both, flaws } from "./look.mjs";
import { guide, openPeople, whoSees } from "./tour.mjs";

// looksAt declares the tests of a tour, for each of some charters. Looks are those of a stranger, of an owner and of the
// lowest role.
export function looksAt(tours, looks = { stranger: both, owner: both, lowest: both }) {
  let browser;

  before(async () => (browser = await openBrowser()));

  after(() => browser?.close());

  for (const [charter, tour] of Object.entries(tours)) {
    test(`every page, with the charter ${charter}`, async (t) => {
      const demo = await startDemo(charter);
      t.after(() => demo.stop());
      const people = await openPeople(browser, demo);
      const addressOf = await guide(demo);
      for (const route of tour) {
        await t.test(route.path, async () => {
          const found = whoSees(route).map((name) => flawsAt(people[name], addressOf(route.path, people[name].person), looks[name]));
          assert.deepEqual((await Promise.all(found)).flat(), []);
        });
      }
      for (const page of Object.values(people)) await closeWindow(page);
    });
  }
}

// flawsAt opens an address and lists what is wrong there.
async function flawsAt(page, address, looks) {
  const answer = await page.goto(address);
  const found = answer.status() < 500 ? await flaws(page, looks) : [`${answer.status()}`];
  const headers = answer.headers();
  if (!headers["cache-control"]?.includes("no-store")) found.push("may be stored");
  return found.map((what) => `${page.person?.role ?? "stranger"} at ${address}: ${what}`);
}

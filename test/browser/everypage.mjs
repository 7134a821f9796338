// A tour through every page of the console, as an owner and as whoever has the lowest role see it.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { closeWindow, openBrowser } from "./browser.mjs";
import { startDemo } from "./demo.mjs";
import { both, pageFlaws } from "./look.mjs";
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

// flawsAt lists what is wrong with an address, and with the page that a window shows there.
async function flawsAt(page, address, looks) {
  const answer = await page.context().request.get(address);
  const found = answer.status() < 500 ? [] : [`${answer.status()}`];
  if (!answer.headers()["cache-control"]?.includes("no-store")) found.push("may be stored");
  if (found.length === 0 && isNew(page, await answer.text())) {
    await page.goto(address);
    found.push(...(await pageFlaws(page, looks)));
  }
  return found.map((what) => `${page.person?.role ?? "stranger"} at ${address}: ${what}`);
}

// unlike is in what two answers differ that show the same page: the name of its scripts, of its request and of its address.
const unlike = /nonce="\w*"|req_\w+|name="here" value="[^"]*"/g;

// isNew says whether a window has not shown a page yet: many addresses refuse somebody in the same words, byte for byte.
function isNew(page, text) {
  page.texts ??= new Set();
  return page.texts.size < page.texts.add(text.replace(unlike, "")).size;
}

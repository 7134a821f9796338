// What is looked at on every page: rules of accessibility, its frame, and that it fits.

import axe from "axe-core";
import { narrow, wide } from "./browser.mjs";

const rules = {
  all: { type: "tag", values: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] },
  colours: { type: "rule", values: ["color-contrast", "link-in-text-block"] },
};

// Every page is looked at in each mode and at each width. What only a wide and dark one has, such as the sidebar in the
// dark, all pages share: it is looked at once, in a third look.
export const light = [{ colorScheme: "light", size: wide, runOnly: rules.all }];
export const dark = [{ colorScheme: "dark", size: narrow, runOnly: rules.all }];
export const both = [...light, ...dark];
const thorough = [...both, { colorScheme: "dark", size: wide, runOnly: rules.colours }];

// flaws lists what is wrong with the page that a window shows.
export async function flaws(page, looks = both) {
  const found = await pageFlaws(page, looks);
  await show(page, light[0]);
  return found;
}

// lookFlaws lists what is wrong with what a window shows now: with a menu or dialog that is open, for example.
export async function lookFlaws(page, looks = thorough) {
  const found = await flawsOf(page, looks);
  await show(page, light[0]);
  return found;
}

// pageFlaws is flaws for a tour: the window stays as it was looked at last, and the next page is looked at like that first.
export async function pageFlaws(page, looks) {
  const found = await frameFlaws(page);
  return [...found, ...(await flawsOf(page, page.shown === looks.at(-1) ? looks.toReversed() : looks))];
}

async function flawsOf(page, looks) {
  const found = [];
  const inspector = await inspect(page);
  for (const look of looks) {
    await show(page, look);
    const flaws = await inspector.evaluate(lookedAt, look.runOnly);
    found.push(...flaws.map((flaw) => `${look.colorScheme}, ${look.size.width} wide: ${flaw}`));
  }
  return found;
}

// show gives a window a look, unless it has it.
async function show(page, look) {
  if ((page.shown ?? light[0]) === look) return;
  await page.emulateMedia({ colorScheme: look.colorScheme });
  await page.setViewportSize(look.size);
  page.shown = look;
}

// inspect gives axe to the page that a window shows. Axe itself lives in a second window, which the first one has opened
// and which stays when that goes to its next page: begun in every page anew, axe takes several times as long to be compiled
// and to become fast as to look. A window that has been at another site is nobody's opener any more.
async function inspect(page) {
  const begin = () => opener !== null && (beginAxe(opener), true);
  if (!(await page.inspector?.evaluate(begin))) {
    await page.inspector?.close();
    page.inspector = await openInspector(page);
    await page.inspector.evaluate(begin);
  }
  return page.inspector;
}

async function openInspector(page) {
  const [inspector] = await Promise.all([page.waitForEvent("popup"), page.evaluate(() => void open("about:blank", "", "popup"))]);
  const call = axe.source.lastIndexOf(")("); // the source is (function (window) {...})(window)
  await inspector.evaluate(`globalThis.beginAxe = ${axe.source.slice(0, call)}); 0`);
  return inspector;
}

// frameFlaws is what every page has in common: a title, one heading of the first level, one main part, and a link to it
// that comes first. Unless the page begins in a field, Tab and Enter lead by that link to the main part. Then what is
// folded is opened.
async function frameFlaws(page) {
  const { flaws, inField } = await page.evaluate(() => {
    const flaws = [];
    const count = (selector, wanted) => {
      const got = document.querySelectorAll(selector).length;
      if (got !== wanted) flaws.push(`${got} ${selector}, not ${wanted}`);
    };
    count("h1", 1);
    count("main#main", 1);
    count("[style], [onclick], [onload], style, script:not([src])", 0);
    if (!document.title.includes(" · ")) flaws.push(`the title is ${document.title}`);
    const stops = "a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex='0']";
    if (document.querySelector(stops)?.className !== "skip") flaws.push("the skip link is not the first stop");
    return { flaws, inField: document.activeElement !== document.body };
  });
  if (!inField) await skips(page);
  const focus = await page.evaluate(() => {
    document.querySelectorAll("details").forEach((d) => (d.open = true));
    return document.activeElement.id || document.activeElement.className;
  });
  return inField || focus === "main" ? flaws : [...flaws, `Tab and Enter lead to ${focus}`];
}

// skips follows the first link of a page, as people do who use no mouse. Chromium gives the focus to where a link within the
// page leads when it next draws the page, which may be after the key has been let go.
async function skips(page) {
  for (const key of ["Tab", "Enter"]) await page.keyboard.press(key);
  await page.locator("main:focus").waitFor({ timeout: 5_000 }).catch(() => {}); // frameFlaws says where the focus is instead
}

// lookedAt runs in the inspector. It lists the rules that the page breaks, with where and why, and names what stands out at
// the side.
async function lookedAt(runOnly) {
  const { document, getComputedStyle, axe } = opener;
  opener.scrollTo(0, 0); // what a bar at the top covers while one scrolls is not covered
  const { violations } = await axe.run(document, { runOnly, resultTypes: ["violations"], iframes: false });
  const broken = violations.flatMap(({ id, nodes }) => nodes.map((n) => `${id}: ${n.target} ${n.failureSummary.replace(/\s+/g, " ")}`));

  const room = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth <= room) return broken;
  const scrolled = (e) => e && (["auto", "scroll", "hidden"].includes(getComputedStyle(e).overflowX) || scrolled(e.parentElement));
  const wide = [...document.body.querySelectorAll("*")].filter((e) => e.getBoundingClientRect().right > room + 1 && !scrolled(e.parentElement));
  return [...broken, `scrolls sideways: ${wide.slice(0, 3).map((e) => `${e.tagName.toLowerCase()}.${e.className}`)}`];
}

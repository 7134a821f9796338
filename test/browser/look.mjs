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
  const found = await frameFlaws(page);
  await openDetails(page);
  return [...found, ...(await lookFlaws(page, looks))];
}

// lookFlaws lists what is wrong with what a window shows now: with a menu or dialog that is open, for example.
export async function lookFlaws(page, looks = thorough) {
  const found = [];
  await page.evaluate(axe.source);
  for (const { colorScheme, size, runOnly } of looks) {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize(size);
    const flaws = [...(await violations(page, runOnly)), ...(await overflows(page))];
    found.push(...flaws.map((flaw) => `${colorScheme}, ${size.width} wide: ${flaw}`));
  }
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize(wide);
  return found;
}

// frameFlaws is what every page has in common: a title, one heading of the first level, one main part, and a link to it
// that comes first.
async function frameFlaws(page) {
  const found = await page.evaluate(() => {
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
    return flaws;
  });
  return [...found, ...(await skipFlaws(page))];
}

// skipFlaws presses Tab and Enter, unless the page begins in a field.
async function skipFlaws(page) {
  if (await page.evaluate(() => document.activeElement !== document.body)) return [];
  const focus = () => page.evaluate(() => document.activeElement.id || document.activeElement.className);
  await page.keyboard.press("Tab");
  const first = await focus();
  await page.keyboard.press("Enter");
  const then = await focus();
  return first === "skip" && then === "main" ? [] : [`Tab leads to ${first}, and Enter there to ${then}`];
}

const openDetails = (page) => page.evaluate(() => document.querySelectorAll("details").forEach((d) => (d.open = true)));

// violations are the rules that the page breaks, with where and why. The page has axe.
async function violations(page, runOnly) {
  await page.evaluate(() => scrollTo(0, 0)); // what a bar at the top covers while one scrolls is not covered
  const found = await page.evaluate((runOnly) => axe.run(document, { runOnly, resultTypes: ["violations"], iframes: false }), runOnly);
  return found.violations.flatMap(({ id, nodes }) => nodes.map((n) => `${id}: ${n.target} ${n.failureSummary.replace(/\s+/g, " ")}`));
}

// overflows names what stands out at the side.
function overflows(page) {
  return page.evaluate(() => {
    const room = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= room) return [];
    const scrolled = (e) => e && (["auto", "scroll", "hidden"].includes(getComputedStyle(e).overflowX) || scrolled(e.parentElement));
    const wide = [...document.body.querySelectorAll("*")].filter((e) => e.getBoundingClientRect().right > room + 1 && !scrolled(e.parentElement));
    return [`scrolls sideways: ${wide.slice(0, 3).map((e) => `${e.tagName.toLowerCase()}.${e.className}`)}`];
  });
}

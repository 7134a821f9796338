// Chromium for the tests, with windows that notice everything which must not happen: script errors, violations of the
// content security policy, failed requests, requests that leave this machine.

import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const flags = [
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost",
];

// Sizes of the windows that pages are looked at in.
export const wide = { width: 1280, height: 900 };
export const narrow = { width: 360, height: 740 };

// openBrowser starts Chromium with a profile of its own. Close it.
export async function openBrowser(options = {}) {
  const home = await mkdtemp(join(tmpdir(), "guildhall-chromium-"));
  const root = process.getuid() === 0;
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
    args: root ? [...flags, "--no-sandbox"] : flags,
    env: { ...process.env, HOME: home },
    ...options,
  });
  const close = browser.close.bind(browser);
  browser.close = async () => {
    await close();
    await rm(home, { recursive: true, force: true, maxRetries: 5 }); // its helpers may still be writing
  };
  return browser;
}

// openWindow opens a window of somebody of the demo's, with cookies of its own: signed in with a person's token, or as a
// stranger without one. The options are those of a browser context.
export async function openWindow(browser, demo, { person, ...options } = {}) {
  const context = await browser.newContext({ baseURL: demo.url, viewport: wide, reducedMotion: "reduce", ...options });
  context.setDefaultTimeout(30_000);
  if (person) await context.addCookies([{ name: "guildhall", value: person.token, url: demo.url, httpOnly: true, sameSite: "Lax" }]);
  const page = await context.newPage();
  return Object.assign(page, { troubles: watch(context) });
}

// watch lists what goes wrong in a context from now on.
function watch(context) {
  const troubles = [];
  const note = (what) => troubles.push(what);
  context.on("weberror", (error) => note(`script: ${error.error()}`));
  context.on("dialog", (dialog) => {
    if (dialog.type() !== "beforeunload") note(`dialog: ${dialog.message()}`);
    dialog.dismiss().catch(() => {});
  });
  context.on("console", (message) => {
    // Chromium writes of every answer from 400 on, and htmx of every request that failed; they are judged below.
    const judged =
      message.text().startsWith("Failed to load resource: the server responded") ||
      message.text().includes("htmx:error: Failed to fetch");
    if (["error", "warning"].includes(message.type()) && !judged) note(`console: ${message.text()} (${message.location().url})`);
  });
  context.on("request", (request) => {
    const { hostname, protocol } = new URL(request.url());
    if (protocol !== "data:" && hostname !== "localhost") note(`request to ${request.url()}`);
  });
  context.on("requestfailed", (request) => {
    // A page that is left before it is whole ends its requests.
    if (request.failure().errorText !== "net::ERR_ABORTED") note(`${request.url()}: ${request.failure().errorText}`);
  });
  context.on("response", (response) => {
    // Pages and dialogs may be refused; whatever they are made of may not.
    const page = ["document", "fetch", "xhr", "eventsource"].includes(response.request().resourceType());
    if (response.status() >= (page ? 500 : 400)) note(`${response.url()}: ${response.status()}`);
  });
  return troubles;
}

// closeWindow closes a window, and fails if anything went wrong in it.
export async function closeWindow(page) {
  await page.context().close();
  assert.deepEqual(page.troubles, []);
}

// inWindow gives a window to a test, and closes it after it.
export async function inWindow(t, browser, demo, options) {
  const page = await openWindow(browser, demo, options);
  t.after(() => closeWindow(page));
  return page;
}

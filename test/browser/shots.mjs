// Pictures of the main pages for people to look at, in light and dark, wide and narrow:
//
//	npm run shots -- OUTDIR

import { join } from "node:path";
import { narrow, openBrowser, wide } from "./browser.mjs";
import { startDemo } from "./demo.mjs";
import { guide, openPeople } from "./tour.mjs";

const shots = {
  stranger: {
    "sign-in": "/login",
    code: "/login/code",
    invitation: "/i/{token}",
    "set-up": "/setup/{link}",
    docs: "/docs",
  },
  owner: {
    overview: "/o/{slug}",
    settings: "/o/{slug}/settings",
    team: "/o/{slug}/settings/team",
    member: "/o/{slug}/settings/team/{member}",
    role: "/o/{slug}/settings/team/{member}/role",
    remove: "/o/{slug}/settings/team/{member}/remove",
    transfer: "/o/{slug}/settings/team/{member}/transfer",
    invite: "/o/{slug}/settings/team/invite",
    invitations: "/o/{slug}/settings/team?tab=invitations",
    roles: "/o/{slug}/settings/roles",
    access: "/o/{slug}/settings/access?who={member}&can=organization.delete",
    keys: "/o/{slug}/settings/api-keys",
    "new-key": "/o/{slug}/settings/api-keys/new?permissions=prompts.view,prompts.edit,endpoints.view&resources=prompt:pr_1",
    key: "/o/{slug}/settings/api-keys/{key}",
    rotate: "/o/{slug}/settings/api-keys/{key}/rotate",
    revoke: "/o/{slug}/settings/api-keys/{key}/revoke",
    "service-accounts": "/o/{slug}/settings/service-accounts",
    "service-account": "/o/{slug}/settings/service-accounts/{account}",
    tokens: "/o/{slug}/settings/tokens",
    "new-token": "/o/{slug}/settings/tokens/new",
    general: "/o/{slug}/settings/general",
    retention: "/o/{slug}/settings/general/retention",
    files: "/o/{slug}/settings/artifacts",
    file: "/o/{slug}/settings/artifacts/{artifact}",
    "file-link": "/o/{slug}/settings/artifacts/{artifact}/link",
    holds: "/o/{slug}/settings/artifacts/holds",
    "hold-release": "/o/{slug}/settings/artifacts/holds/{hold}/release",
    billing: "/o/{slug}/settings/billing",
    plans: "/o/{slug}/settings/billing/plans",
    "plan-change": "/o/{slug}/settings/billing/plans/{plan}",
    "plan-cancel": "/o/{slug}/settings/billing/cancel",
    invoice: "/o/{slug}/settings/billing/invoices/{invoice}",
    sso: "/o/{slug}/settings/sso",
    connection: "/o/{slug}/settings/sso/connections/{connection}",
    "connection-mapping": "/o/{slug}/settings/sso/connections/{connection}/mapping",
    "setup-links": "/o/{slug}/settings/sso/links",
    directories: "/o/{slug}/settings/directory",
    directory: "/o/{slug}/settings/directory/{directory}",
    "directory-mapping": "/o/{slug}/settings/directory/{directory}/mapping",
    "audit-log": "/o/{slug}/settings/audit-log",
    event: "/o/{slug}/settings/audit-log/{event}",
    organizations: "/orgs",
    account: "/account",
    passkeys: "/account/passkeys",
    "new-passkey": "/account/passkeys/new",
    sessions: "/account/sessions",
    verify: "/verify",
  },
  lowest: {
    "refused-team": "/o/{slug}/settings/team",
    "read-only-general": "/o/{slug}/settings/general",
    "lowest-overview": "/o/{slug}",
  },
};

const looks = [
  { look: "light", colorScheme: "light", size: wide },
  { look: "dark", colorScheme: "dark", size: wide },
  { look: "narrow", colorScheme: "light", size: narrow },
  { look: "narrow-dark", colorScheme: "dark", size: narrow },
];

async function shoot(page, addresses, addressOf, folder) {
  for (const [name, route] of Object.entries(addresses)) {
    await page.goto(addressOf(route, page.person));
    for (const { look, colorScheme, size } of looks) {
      await page.emulateMedia({ colorScheme });
      await page.setViewportSize(size);
      await page.screenshot({ path: join(folder, `${name}-${look}.png`), fullPage: true });
    }
  }
}

const folder = process.argv[2];
if (!folder) {
  console.error("usage: npm run shots -- OUTDIR");
  process.exit(2);
}
const demo = await startDemo(process.env.CHARTER || "gateway");
const browser = await openBrowser();
try {
  const people = await openPeople(browser, demo);
  const addressOf = await guide(demo);
  for (const [who, addresses] of Object.entries(shots)) await shoot(people[who], addresses, addressOf, folder);
  console.log(folder);
} finally {
  await browser.close();
  await demo.stop();
}

// Every page of the console, read from the console's own tables of pages: one that is added is looked at too.

import { readdirSync, readFileSync } from "node:fs";
import { openWindow } from "./browser.mjs";
import { asksForMail, isAt, press } from "./people.mjs";
import { identity, metadata } from "./samlidp.mjs";

const source = new URL("../../server/internal/console/", import.meta.url);
const documentation = new URL("../../docs/", import.meta.url);

// noPages are routes that answer with something else: a file, or another address.
// passkeys.test.mjs looks at those that need a passkey or half a sign-in, google.test.mjs at those that need an account elsewhere,
// simplesamlphp.test.mjs at the end of a sign-out that a provider began.
const noPages = ["/{$}", "/login/callback/{connection}", "/login/saml/{connection}/metadata", "/login/saml/{connection}/slo", "/login/left", "/i", "/docs/llms.txt", "/login/mfa", "/account/passkeys/{passkey}/rename", "/account/passkeys/{passkey}/delete", "/account/identities/{provider}/link", "/account/identities/{identity}/delete", "/login/sso/{slug}", "/o/{slug}/settings/audit-log/export", "/o/{slug}/settings/logs/export", "/o/{slug}/settings/reviews/{review}/report",
  "/o/{slug}/settings/usage/export", "/o/{slug}/settings/usage/events", "/o/{slug}/settings/usage/live",
  "/o/{slug}/settings/artifacts/{artifact}/content", "/o/{slug}/settings/logs/{request}", "/o/{slug}/settings/billing/invoices/{invoice}/pdf"]; // the demo has no line

// everywhere are routes whose pages are the same with every charter.
export const everywhere = (path) => path.startsWith("/docs");

// inStates are pages in a state that their plain address does not show: nothing found, something wrong, nothing there.
const inStates = [
  "/o/{slug}/settings/team?q=nobody",
  "/o/{slug}/settings/team?tab=invitations",
  "/o/{slug}/settings/team?tab=invitations&q=nobody",
  "/o/{slug}/settings/audit-log?q=nothing",
  "/o/{slug}/settings/audit-log?q=created:yesterday",
  "/o/{slug}/settings/access?can=members.invite",
  "/o/{slug}/settings/access?can=members.view",
  "/o/{slug}/settings/access?who={member}&can=organization.delete",
  "/o/{slug}/settings/api-keys?q=nobody",
  "/o/{slug}/settings/api-keys?unused=soon",
  "/o/{slug}/settings/api-keys/new?kind=organization",
  "/o/{slug}/settings/api-keys/new?name=ci&permissions=prompts.view,members.invite,no.such&resources=prompt:pr_1",
  "/o/{slug}/settings/tokens?state=revoked",
  "/o/{slug}/settings/roles/new?from=owner",
  "/o/{slug}/settings/access?what=role&role={role}",
  "/o/{slug}/settings/access?what=member&member={member}&role={role}",
  "/o/{slug}/settings/access?what=remove&member={member}",
  "/o/{slug}/settings/artifacts?q=nothing",
  "/o/{slug}/settings/artifacts/holds?state=released",
  "/o/{slug}/settings/artifacts/holds?artifacts={artifact}",
  "/o/{slug}/settings/general/retention?days=many",
  "/o/{slug}/settings/findings?show=dismissed",
  "/o/{slug}/settings/findings?severity=none",
  "/o/{slug}/settings/reviews/{review}?flag=unused",
  "/o/{slug}/settings/reviews/{review}/complete?undecided=keep",
  "/o/{slug}/settings/usage?by=meter&range=12m",
  "/o/{slug}/settings/usage?from=yesterday",
  "/o/{slug}/settings/billing/plans?interval=year",
  "/o/{slug}/settings/billing/plans/{plan}?at=now",
  "/o/{slug}/settings/nothing",
  "/docs/search?q=keys",
  "/docs/api?q=invitations",
  "/o/closing/deleted",
  "/o/nobodys",
];

// routes are all pages of the console, with who may see each: "anybody", "signedIn" or "member".
export function routes() {
  return filesIn(source, /(?<!_test|_templ)\.go$/)
    .flatMap((name) => routesOf(readFileSync(new URL(name, source), "utf8")))
    .filter(({ path }) => !noPages.includes(path));
}

// states are further addresses, which look the same with every charter.
export function states() {
  const docs = filesIn(documentation, /\.md$/).map((name) => ({ path: `/docs/${name.replace(".md", "")}`, who: "anybody" }));
  return [...inStates.map((path) => ({ path, who: "member" })), ...docs];
}

const filesIn = (folder, ending) => readdirSync(folder).filter((name) => ending.test(name));

// routesOf reads the entries {"GET /orgs", signedIn, chooseOrganization} and {"GET " + one + "/role", member, askRole}.
function routesOf(text) {
  const one = text.match(/const one = "([^"]*)"/)?.[1];
  const entries = text.matchAll(/\{"GET ([^"]*)"( \+ one)?(?: \+ "([^"]*)")?, (anybody|signedIn|member), \w+\}/g);
  return [...entries].map(([, begin, isOne, end = "", who]) => ({ path: begin + (isOne ? one : "") + end, who }));
}

// guide knows what stands for the names in routes, in a demo.
export async function guide(demo) {
  const owner = demo.owner();
  const list = async (what) => (await demo.api(owner, "GET", `/v1/organizations/acme/${what}`)).data;
  const facts = {
    slug: "acme",
    invitation: (await list("invitations?state=pending"))[0].id,
    event: (await list("audit?q=action:members.update"))[0].id,
    token: (await demo.mail("max@acme.test")).link.split("/").at(-1),
    page: "errors",
    noun: "members",
    role: (await demo.api(owner, "POST", "/v1/organizations/acme/roles", { title: "Auditor", permissions: ["audit.view", "members.view"] })).id,
    key: (await list("keys")).find((key) => key.id).id,
    account: await account(demo),
    scoped: (await demo.api(owner, "POST", "/v1/organizations/acme/tokens", { name: "one run" })).id,
  };
  facts.meter = (await demo.api(owner, "GET", "/v1/organizations/acme/usage")).meters[0].meter;
  facts.budget = (await demo.api(owner, "POST", "/v1/organizations/acme/budgets", { name: "Every month", meter: facts.meter, amount: 500 })).id;
  facts.subject = owner.member;
  await demo.api(owner, "PUT", `/v1/organizations/acme/limits/${facts.subject}/${facts.meter}`, { limit: 400 });
  const endless = await demo.api(owner, "POST", "/v1/organizations/acme/keys", { name: "for ever", expires_at: "never" });
  facts.finding = `unexpiring_key:${endless.id}`;
  facts.review = (await demo.api(owner, "POST", "/v1/organizations/acme/reviews", { title: "Every quarter", subject: "members" })).id;
  // An organization that is scheduled for deletion, where people may found one.
  const closing = await demo.api(owner, "POST", "/v1/organizations", { name: "Closing", slug: "closing" });
  await demo.api(owner, "POST", `/v1/organizations/${closing.id}/delete`, { reason: "moving on" });
  facts.item = demo.people()[1].member;
  facts.invoice = (await list("invoices"))[0].id;
  facts.plan = (await list("plans")).findLast((plan) => !plan.current).id;
  facts.domain = await domain(demo);
  facts.connection = await connection(demo);
  facts.directory = await beyondThePlan(demo.api(owner, "POST", "/v1/organizations/acme/directories", { name: "Okta" }), "dir_00000000000000000000000000");
  const setup = await beyondThePlan(demo.api(owner, "POST", "/v1/organizations/acme/setup_links", { hours: 24 }), undefined, (made) => made);
  facts.setup_link = setup?.id ?? "stl_00000000000000000000000000";
  facts.link = setup?.link?.split("/").at(-1) ?? "gld_setup_0000";
  if (setup) await demo.api(owner, "POST", "/v1/setup/configure_saml", { link: facts.link, name: "Theirs", metadata: metadata("https://theirs.test", "https://theirs.test/sso", identity().raw) });
  Object.assign(facts, await saml(demo));
  facts.request = "jrq_00000000000000000000000000";
  facts.artifact = (await list("artifacts"))[0].id;
  facts.hold = (await demo.api(owner, "POST", "/v1/organizations/acme/holds", { reason: "case 24-117", artifacts: [facts.artifact] })).id;
  return (route, person) => {
    // An owner looks at the one below, everybody else at themselves.
    const seen = person === owner ? demo.people()[1] : person;
    return route.replace("{connection}/saml", "{saml}/saml").replace(/\{(\w+)\}/g, (_, name) => {
      const value = name === "member" ? seen?.member : facts[name];
      if (!value) throw new Error(`${route}: the tour knows no ${name}`);
      return value;
    });
  };
}

// account makes a service account, where the charter has them.
async function account(demo) {
  const wanted = { name: "nightly build", role: demo.lowest().role };
  const made = await demo.api(demo.owner(), "POST", "/v1/organizations/acme/service_accounts", wanted).catch((error) => {
    if (!error.message.includes("no_organization_keys")) throw error;
  });
  return made?.id ?? "sva_00000000000000000000000000";
}

// connection names an identity provider, where the demo's plan has single sign-on.
async function connection(demo) {
  const wanted = { name: "Okta", issuer: "https://acme.okta.test", client_id: "0oa1b2c3", client_secret: "secret" };
  return beyondThePlan(demo.api(demo.owner(), "POST", "/v1/organizations/acme/connections", wanted), "con_00000000000000000000000000");
}

// saml names an identity provider that speaks SAML, where the demo's plan has single sign-on.
async function saml(demo) {
  const settings = { name: "Keycloak", metadata: metadata("https://idp.test", "https://idp.test/sso", identity().raw) };
  const made = await demo.api(demo.owner(), "POST", "/v1/organizations/acme/connections/saml", settings).catch((error) => {
    if (!error.message.includes("plan_required")) throw error;
  });
  return { saml: made?.connection ?? "con_00000000000000000000000000", certificate: made?.certificates[0].fingerprint ?? "0".repeat(64) };
}

// domain names a domain, where the demo's plan has single sign-on.
async function domain(demo) {
  return beyondThePlan(demo.api(demo.owner(), "POST", "/v1/organizations/acme/domains", { domain: "acme.test" }), "dom_00000000000000000000000000");
}

// beyondThePlan is the id of what was made, or another one where the plan does not have such things.
async function beyondThePlan(made, otherwise, what = (answer) => answer.id) {
  const answer = await made.catch((error) => {
    if (!error.message.includes("plan_required")) throw error;
  });
  return answer ? what(answer) : otherwise;
}

// openPeople opens the windows of the tour: of a stranger, of an owner and of whoever has the lowest role. Each of them
// waits for a mail, so that the pages which ask for its code are there.
export async function openPeople(browser, demo) {
  const open = async (person) => Object.assign(await openWindow(browser, demo, { person }), { person });
  const people = { stranger: await open(), owner: await open(demo.owner()), lowest: await open(demo.lowest()) };
  await people.stranger.goto("/login");
  await asksForMail(people.stranger, "ada@acme.test");
  for (const page of [people.owner, people.lowest]) {
    await page.goto("/verify");
    await press(page, "Send me a code");
    await isAt(page, "Look into your mail");
  }
  return people;
}

// whoSees are those of the tour's people who look at a page.
export function whoSees({ who }) {
  return who === "anybody" ? ["stranger"] : ["owner", "lowest"];
}

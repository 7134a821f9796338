// What an owner and others do on our pages with a provider that speaks SAML, whoever wrote it.

import { isAt, press, sees } from "./people.mjs";

// owns proves a domain of Acme on its page.
export async function owns(page, outside, domain) {
  await page.goto("/o/acme/settings/sso/domains/new");
  await page.getByLabel("Domain").fill(domain);
  await press(page, "Add the domain");
  await isAt(page, domain);
  const value = (await page.getByRole("main").innerText()).match(/guildhall-domain=\S+/)[0];
  outside.texts.set(`_guildhall-challenge.${domain}`, value);
  await press(page, "Verify");
  await sees(page, "Verified");
}

// connects names a provider by its metadata as a file, and gives where its page is.
export async function connects(page, name, metadata) {
  await page.goto("/o/acme/settings/sso/connections/new/saml");
  await page.getByLabel("Name", { exact: true }).fill(name);
  await page.getByLabel("Or the metadata as a file").setInputFiles({ name: "metadata.xml", mimeType: "text/xml", buffer: Buffer.from(metadata) });
  await page.getByRole("combobox").selectOption("viewer");
  await press(page, "Add the provider");
  await isAt(page, `${name}: addresses and certificates`);
  return page.url().replace(/\/saml$/, "");
}

export async function switchesOn(page, at, name) {
  await page.goto(`${at}/switch`);
  await press(page, "Switch it on");
  await sees(page, `${name} signs people in now.`);
}

// goesTo types an address on the sign-in page, which leads to the provider.
export async function goesTo(page, email, name) {
  await page.goto("/login");
  await page.getByLabel("E-mail address").fill(email);
  await press(page, "Send me a mail");
  await isAt(page, `Sign in with ${name}`);
  await page.getByRole("link", { name: `Go on to ${name}` }).click();
}

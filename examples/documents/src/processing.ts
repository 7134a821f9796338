// What processors do with a text. Each kind is one function; its expressions are of linear cost.

import type { Processor } from "./store.js";

/** Extracted is what was found, by name. */
export type Extracted = Readonly<Record<string, unknown>>;

type Finder = (text: string, labels: readonly string[]) => Extracted;

/** kinds are the kinds of processors. */
export const kinds: Readonly<Record<string, Finder>> = { fields, amounts, dates, words };

/** extract runs processors over a text, one after another; what a later one finds by the same name counts. */
export function extract(text: string, processors: readonly Processor[]): Extracted {
  return Object.assign({}, ...processors.map((p) => kinds[p.kind]?.(text, p.labels) ?? {})) as Extracted;
}

/** pagesOf is how many pages a text has: form feeds end one, and so do 3,000 characters. */
export function pagesOf(text: string): number {
  return text.split("\f").reduce((sum, page) => sum + Math.max(1, Math.ceil(page.length / 3000)), 0);
}

/** fields finds what stands behind each label and a colon. */
function fields(text: string, labels: readonly string[]): Extracted {
  const found = new Map<string, string>();
  for (const line of text.split(/[\r\n\f]+/)) {
    const at = line.indexOf(":");
    const label = labels.find((l) => l.toLowerCase() === line.slice(0, Math.max(0, at)).trim().toLowerCase());
    if (label !== undefined && !found.has(label)) {
      found.set(label, line.slice(at + 1).trim());
    }
  }
  return Object.fromEntries(found);
}

/** amounts finds sums of money that name their currency first: EUR 1,250.00. */
function amounts(text: string): Extracted {
  const found = [...text.matchAll(/\b(EUR|USD|GBP|CHF) (\d[\d,]*(?:\.\d\d)?)/g)];
  return { amounts: found.map(([, currency, digits]) => ({ currency, value: Number(digits?.replaceAll(",", "")) })) };
}

/** dates finds days as ISO 8601 writes them. */
function dates(text: string): Extracted {
  return { dates: [...text.matchAll(/\b\d{4}-\d{2}-\d{2}\b/g)].map(([day]) => day) };
}

function words(text: string): Extracted {
  return { words: text.split(/\s+/).filter(Boolean).length };
}

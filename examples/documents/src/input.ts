// Reading the fields of a request's body.

import type { Request } from "express";

import { invalid, Problem } from "./problems.js";

/** text is a field that has to be a text, not empty and no longer than told. */
export function text(req: Request, name: string, longest = 1_000_000): string {
  const value = fieldOf(req, name);
  if (typeof value !== "string" || value === "" || value.length > longest) {
    throw invalid(name, `has to be a text of 1 to ${longest} characters`);
  }
  return value;
}

/** texts is a field that has to be a list of texts; one that is not there is empty. */
export function texts(req: Request, name: string): string[] {
  const value = fieldOf(req, name) ?? [];
  if (!Array.isArray(value) || value.length > 50 || !value.every((v): v is string => typeof v === "string" && v.length <= 200)) {
    throw invalid(name, "has to be a list of at most 50 texts");
  }
  return value;
}

function fieldOf(req: Request, name: string): unknown {
  const body: unknown = req.body;
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    throw new Problem(400, "malformed", "the body has to be a JSON object, sent as application/json");
  }
  return Object.hasOwn(body, name) ? (body as Record<string, unknown>)[name] : undefined;
}

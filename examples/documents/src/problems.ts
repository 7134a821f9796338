// Errors as this product tells them: problem details (RFC 9457), like those of the client's middleware.

import type { ErrorRequestHandler, Response } from "express";
import { Denied, GuildhallError } from "guildhall";

/** Problem is an error that the caller is told. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    detail: string,
    readonly more: Readonly<Record<string, unknown>> = {},
  ) {
    super(detail);
  }
}

/** notFound is the error of what is not there, or is another organization's: the two cannot be told apart. */
export function notFound(): Problem {
  return new Problem(404, "not_found", "there is no such thing");
}

/** invalid is the error of a field. */
export function invalid(field: string, detail: string): Problem {
  return new Problem(422, "invalid", `${field} ${detail}`, { errors: [{ pointer: `/${field}`, detail }] });
}

/** tell answers with a problem. */
export function tell(res: Response, p: Problem): void {
  const body = { type: "about:blank", status: p.status, code: p.code, detail: p.message, ...p.more };
  res.status(p.status).type("application/problem+json").set("Cache-Control", "no-store").send(JSON.stringify(body));
}

/** onError tells every error that a route threw. What it does not know is the product's own mistake, and goes to the log. */
export const onError: ErrorRequestHandler = (error: unknown, _req, res, next) => {
  if (res.headersSent) {
    next(error);
    return;
  }
  tell(res, problemOf(error));
};

function problemOf(error: unknown): Problem {
  if (error instanceof Problem) {
    return error;
  }
  if (error instanceof Denied) {
    return new Problem(403, "denied", `this needs ${error.needs}`, { needs: error.needs, reason: error.reason, fix_url: error.fixUrl });
  }
  if (error instanceof GuildhallError) {
    console.error(`no answer from Guildhall: ${error.code}: ${error.message}`);
    return new Problem(503, "unavailable", "access cannot be checked now");
  }
  const status = statusOf(error);
  if (status >= 400 && status < 500) {
    return new Problem(status, "malformed", "the body cannot be read: it has to be a JSON object of at most 1 MB");
  }
  console.error(error);
  return new Problem(500, "internal", "internal error");
}

/** statusOf is the status that Express gives to what it refuses itself, such as a body that is no JSON. */
function statusOf(error: unknown): number {
  return error instanceof Error && "status" in error && typeof error.status === "number" ? error.status : 500;
}

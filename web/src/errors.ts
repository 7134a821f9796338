// Errors, read from problem details (RFC 9457). Each means that nothing was allowed.

import { isObject, textOf } from "./questions.js";
import type { Decision, Holder } from "./questions.js";

/** FieldError is what is wrong with one field of the input. */
export interface FieldError {
  readonly pointer?: string;
  readonly code?: string;
  readonly detail?: string;
}

/** Problem is what an error tells. */
export interface Problem {
  /** The status of the answer; 0: there was none that could be read. */
  readonly status: number;
  /** What to match on; it never changes. */
  readonly code: string;
  readonly title?: string | undefined;
  readonly detail: string;
  readonly requestId?: string | undefined;
  readonly errors?: readonly FieldError[] | undefined;
  readonly needs?: string | undefined;
  readonly reason?: string | undefined;
  readonly holders?: readonly Holder[] | undefined;
  readonly fixUrl?: string | undefined;
  /** Seconds until it is worth trying again. */
  readonly retryAfter?: number | undefined;
}

/** GuildhallError is every error of this client. Its texts never hold a secret. */
export class GuildhallError extends Error implements Problem {
  readonly status: number;
  readonly code: string;
  readonly title: string;
  readonly detail: string;
  readonly requestId: string | undefined;
  readonly errors: readonly FieldError[];
  readonly needs: string | undefined;
  readonly reason: string | undefined;
  readonly holders: readonly Holder[];
  readonly fixUrl: string | undefined;
  readonly retryAfter: number | undefined;

  constructor(p: Problem, options?: { cause?: unknown }) {
    super(p.detail, options);
    this.name = new.target.name;
    this.status = p.status;
    this.code = p.code;
    this.title = p.title ?? "";
    this.detail = p.detail;
    this.requestId = p.requestId;
    this.errors = p.errors ?? [];
    this.needs = p.needs;
    this.reason = p.reason;
    this.holders = p.holders ?? [];
    this.fixUrl = p.fixUrl;
    this.retryAfter = p.retryAfter;
  }
}

/** Denied: the answer was no. */
export class Denied extends GuildhallError {}

/** Unauthenticated: the service key is missing, malformed or not valid any more. */
export class Unauthenticated extends GuildhallError {}

/** RateLimited: too many requests; retryAfter says when to come back. */
export class RateLimited extends GuildhallError {}

/** Unavailable: there is no answer now. */
export class Unavailable extends GuildhallError {}

/** byStatus are the errors that have a class of their own. */
const byStatus: Readonly<Record<number, typeof GuildhallError>> = {
  0: Unavailable,
  401: Unauthenticated,
  403: Denied,
  429: RateLimited,
  502: Unavailable,
  503: Unavailable,
  504: Unavailable,
};

/** errorFrom is the error of a problem, of the class that its status has. */
export function errorFrom(p: Problem, cause?: unknown): GuildhallError {
  const Class = byStatus[p.status] ?? GuildhallError;
  return new Class(p, cause === undefined ? undefined : { cause });
}

/** deniedBy is the error of a question that was answered no. */
export function deniedBy(permission: string, d: Decision): Denied {
  const detail = d.reason ? `denied: ${permission} (${d.reason})` : `denied: ${permission}`;
  return new Denied({ ...d, status: 403, code: "denied", title: "Forbidden", detail, needs: d.needs ?? permission });
}

/** answeredError reads the error of an answer. One that Guildhall did not write, such as a proxy's, says only its status. */
export function answeredError(response: Response, body: string): GuildhallError {
  const bare: Problem = {
    status: response.status,
    code: "unexpected_answer",
    detail: `the server answered ${response.status}: is the address right?`,
    requestId: response.headers.get("Request-Id") ?? undefined,
    retryAfter: retryAfterOf(response.headers.get("Retry-After")),
  };
  const told = problemOf(response, body);
  return errorFrom(told ? { ...bare, ...told } : bare);
}

/** problemOf reads problem details; undefined: the body has none. */
function problemOf(response: Response, body: string): Omit<Problem, "status"> | undefined {
  const type = response.headers.get("Content-Type") ?? "";
  const p = type.split(";")[0]?.trim() === "application/problem+json" ? parsed(body) : undefined;
  if (!isObject(p) || typeof p["code"] !== "string") {
    return undefined;
  }
  return {
    code: p["code"],
    title: textOf(p["title"]),
    detail: textOf(p["detail"]) ?? textOf(p["title"]) ?? p["code"],
    errors: Array.isArray(p["errors"]) ? p["errors"] : undefined,
    needs: textOf(p["needs"]),
    reason: textOf(p["reason"]),
    holders: Array.isArray(p["holders"]) ? p["holders"] : undefined,
    fixUrl: textOf(p["fix_url"]),
  };
}

/** parsed is the value of a JSON text; undefined: it is none. */
export function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** retryAfterOf reads the header in both of its forms (RFC 9110, section 10.2.3), as seconds from now. */
function retryAfterOf(value: string | null): number | undefined {
  if (value === null) {
    return undefined;
  }
  const seconds = /^\d+$/.test(value) ? Number(value) : (Date.parse(value) - Date.now()) / 1000;
  return Number.isFinite(seconds) ? Math.max(0, seconds) : undefined;
}

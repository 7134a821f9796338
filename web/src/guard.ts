// What the middleware of every framework does: reads the credential, asks, and says how to refuse.

import type { Checker } from "./client.js";
import { GuildhallError } from "./errors.js";
import { credential } from "./questions.js";
import type { Decision, Resource } from "./questions.js";

/** Refusal is an answer that stops a request: problem details (RFC 9457). */
export interface Refusal {
  readonly status: 401 | 403 | 503;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Request is what the middleware knows of a request. */
export interface Request<P extends string> {
  /** The values of all Authorization headers. */
  readonly authorization: readonly string[];
  readonly permission: P;
  readonly resource: () => Resource | Promise<Resource>;
  readonly address: string | undefined;
  readonly onError: ((error: GuildhallError) => void) | undefined;
}

/** guard asks about a request. It lets nothing through but a yes: without an answer the request is refused with 503. */
export async function guard<P extends string>(hall: Checker<P>, r: Request<P>): Promise<Decision | Refusal> {
  const secret = bearerOf(r.authorization);
  if (secret === undefined) {
    return unauthenticated("Bearer", "send one credential as Authorization: Bearer");
  }
  try {
    const resource = await r.resource();
    return judged(await hall.check({ subject: credential(secret), permission: r.permission, resource, address: r.address }));
  } catch (error) {
    if (!(error instanceof GuildhallError)) {
      throw error;
    }
    r.onError?.(error);
    return unavailable(error);
  }
}

/** isRefusal tells a refusal from a decision. */
export function isRefusal(outcome: Decision | Refusal): outcome is Refusal {
  return "status" in outcome;
}

/** bearerOf reads the one credential of a request (RFC 6750, section 2.1); undefined: none, several, or malformed. */
export function bearerOf(authorization: readonly string[]): string | undefined {
  if (authorization.length !== 1) {
    return undefined;
  }
  return /^Bearer +([\w\-.~+/]+=*)$/i.exec(authorization[0] ?? "")?.[1];
}

function judged(d: Decision): Decision | Refusal {
  if (d.allow === true) {
    return d;
  }
  if (d.reason === "unknown_subject") {
    return unauthenticated('Bearer error="invalid_token"', "the credential is unknown, revoked or expired");
  }
  const told = { needs: d.needs, reason: d.reason, fix_url: d.fixUrl, request_id: d.requestId };
  return refusal(403, "Forbidden", "denied", d.needs ? `this needs ${d.needs}` : "this is not allowed", told);
}

function unauthenticated(challenge: string, detail: string): Refusal {
  return refusal(401, "Unauthorized", "unauthenticated", detail, {}, { "WWW-Authenticate": challenge });
}

/** unavailable says nothing of what went wrong behind the product. */
function unavailable(e: GuildhallError): Refusal {
  const seconds = String(Math.ceil(e.retryAfter ?? 1));
  return refusal(503, "Service Unavailable", "unavailable", "access cannot be checked now", {}, { "Retry-After": seconds });
}

function refusal(status: Refusal["status"], title: string, code: string, detail: string, told: object, headers: object = {}): Refusal {
  return {
    status,
    headers: { "Content-Type": "application/problem+json", "Cache-Control": "no-store", ...headers },
    body: JSON.stringify({ type: "about:blank", title, status, detail, code, ...told }),
  };
}

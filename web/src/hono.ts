// Middleware for Hono 4. Of Hono itself it takes types only.

import type { Context, MiddlewareHandler } from "hono";

import type { Checker } from "./client.js";
import type { GuildhallError } from "./errors.js";
import { guard, isRefusal } from "./guard.js";
import type { Decision, Resource } from "./questions.js";

declare module "hono" {
  interface ContextVariableMap {
    /** What protect was answered. */
    guildhall: Decision;
  }
}

/** ProtectOptions change what protect does. */
export interface ProtectOptions {
  /** The client's address, which each runtime keeps elsewhere; without it none is sent. */
  readonly address?: (c: Context) => string | undefined;
  /** Is told why there was no answer, before the request is refused with 503. */
  readonly onError?: (error: GuildhallError) => void;
}

/**
 * protect lets a request through whose credential has a permission on a resource, and sets the decision as "guildhall".
 * Every other is answered with problem details: 401 without a valid credential, 403 on a no, 503 without an answer. What
 * resource throws itself goes to Hono.
 */
export function protect<P extends string>(
  hall: Checker<P>,
  permission: P,
  resource: (c: Context) => Resource | Promise<Resource>,
  options: ProtectOptions = {},
): MiddlewareHandler {
  return async (c, next) => {
    // Several headers arrive joined by commas, which no credential has: they are refused as malformed.
    const sent = c.req.header("Authorization");
    const asked = { permission, resource: () => resource(c), address: options.address?.(c), onError: options.onError };
    const outcome = await guard(hall, { ...asked, authorization: sent === undefined ? [] : [sent] });
    if (isRefusal(outcome)) {
      return c.body(outcome.body, outcome.status, { ...outcome.headers });
    }
    c.set("guildhall", outcome);
    await next();
    return undefined;
  };
}

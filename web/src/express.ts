// Middleware for Express 5, and for whatever has its shape: it needs nothing of Express itself.

import type { Checker } from "./client.js";
import type { GuildhallError } from "./errors.js";
import { guard, isRefusal } from "./guard.js";
import type { Refusal } from "./guard.js";
import type { Decision, Resource } from "./questions.js";

declare global {
  namespace Express {
    interface Request {
      /** What protect was answered. */
      guildhall?: Decision;
    }
  }
}

/** ExpressRequest is what protect reads of a request. */
export interface ExpressRequest {
  readonly rawHeaders: string[];
  readonly ip?: string | undefined;
  // Express gives texts for the parts of a path, and its types say lists as well.
  readonly params: Record<string, any>;
  readonly query?: unknown;
  readonly body?: unknown;
  guildhall?: Decision;
}

/** ExpressResponse is how protect refuses. */
export interface ExpressResponse {
  statusCode: number;
  setHeader(name: string, value: string): unknown;
  end(body: string): unknown;
}

/** ProtectOptions change what protect does. */
export interface ProtectOptions<R> {
  /** The client's address; without it, Express's own req.ip, which follows the setting "trust proxy". */
  readonly address?: (req: R) => string | undefined;
  /** Is told why there was no answer, before the request is refused with 503. */
  readonly onError?: (error: GuildhallError) => void;
}

/**
 * protect lets a request through whose credential has a permission on a resource, and puts the decision into
 * req.guildhall. Every other is answered with problem details: 401 without a valid credential, 403 on a no, 503 without an
 * answer. What resource throws itself goes to Express.
 */
export function protect<P extends string, R extends ExpressRequest = ExpressRequest>(
  hall: Checker<P>,
  permission: P,
  resource: (req: R) => Resource | Promise<Resource>,
  options: ProtectOptions<R> = {},
): (req: R, res: ExpressResponse, next: (error?: unknown) => void) => Promise<void> {
  const address = options.address ?? ((req) => plain(req.ip));
  return async (req, res, next) => {
    try {
      const asked = { permission, resource: () => resource(req), address: address(req), onError: options.onError };
      const outcome = await guard(hall, { ...asked, authorization: authorization(req.rawHeaders) });
      if (isRefusal(outcome)) {
        refuse(res, outcome);
        return;
      }
      req.guildhall = outcome;
    } catch (error) {
      next(error);
      return;
    }
    next();
  };
}

/** authorization are all headers of that name: Node's own req.headers keeps the first of several. */
export function authorization(raw: readonly string[]): string[] {
  return raw.filter((_, i) => i % 2 === 1 && raw[i - 1]?.toLowerCase() === "authorization");
}

/** plain is an IPv4 address without the prefix that a socket of both kinds gives it. */
function plain(address: string | undefined): string | undefined {
  return address?.replace(/^::ffff:(?=\d+\.)/i, "");
}

function refuse(res: ExpressResponse, r: Refusal): void {
  res.statusCode = r.status;
  for (const [name, value] of Object.entries(r.headers)) {
    res.setHeader(name, value);
  }
  res.end(r.body);
}

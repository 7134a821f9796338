// Who may do what: every route asks Guildhall with the caller's own credential, and gets the organization from the answer.

import type { Request, RequestHandler } from "express";
import { credential, organization } from "guildhall";
import type { Guildhall, Resource } from "guildhall";
import { protect } from "guildhall/express";

import type { Permission } from "./permissions.js";
import { Problem } from "./problems.js";

/** Access makes the guards of routes. */
export class Access {
  readonly #hall: Guildhall<Permission>;

  constructor(hall: Guildhall<Permission>) {
    this.#hall = hall;
  }

  /** needs is the guard of a route that is about the organization as a whole. */
  needs(permission: Permission): RequestHandler {
    return this.#guard(permission, (req) => organization(place(req)));
  }

  /** needsOn is the guard of a route about one thing, whose id is in the path; without one, about any. */
  needsOn(permission: Permission, type: string): RequestHandler {
    return this.#guard(permission, (req) => ({ type, id: idOf(req) ?? "*", organization: place(req) }));
  }

  /** demand asks about a thing that the body names. It throws Denied where the answer is no. */
  async demand(req: Request, permission: Permission, type: string, id: string): Promise<void> {
    const resource = { type, id, organization: organizationOf(req) };
    await this.#hall.demand({ subject: credential(secretOf(req)), permission, resource, address: req.ip });
  }

  #guard(permission: Permission, resource: (req: Request) => Resource): RequestHandler {
    const onError = (e: Error & { code: string }): void => console.error(`no answer from Guildhall: ${e.code}: ${e.message}`);
    return protect(this.#hall, permission, resource, { onError });
  }
}

/**
 * place is the organization that a request says it is about. A person may be in several and says which; a key or token is
 * bound to one and need not. What is said decides nothing: the check does.
 */
function place(req: Request): string | undefined {
  return req.get("Organization");
}

/** organizationOf is the id of the organization that a request was let into. */
export function organizationOf(req: Request): string {
  const id = req.guildhall?.organization;
  if (!id) {
    throw new Problem(503, "unavailable", "access cannot be checked now");
  }
  return id;
}

/** secretOf is the credential of a request whose header the guard has found to be right. */
function secretOf(req: Request): string {
  return (req.get("Authorization") ?? "").replace(/^bearer +/i, "");
}

function idOf(req: Request): string | undefined {
  const id = req.params["id"];
  return typeof id === "string" ? id : undefined;
}

// Questions, their answers, and how AuthZEN 1.0 writes both.

/** Subject is who asks: a person by id, or whoever sent a credential. */
export interface Subject {
  readonly type: "user" | "credential";
  readonly id: string;
}

/** user is a person, by Guildhall's id or by the product's own. */
export function user(id: string): Subject {
  return { type: "user", id };
}

/** credential is whoever sent this secret: a session, a key or a scoped token. */
export function credential(secret: string): Subject {
  return { type: "credential", id: secret };
}

/**
 * Resource is what is asked about: a type of the charter with the thing's own id. The organization (its id or slug) may
 * be left out where the credential is bound to one, as keys and tokens are.
 */
export interface Resource {
  readonly type: string;
  readonly id: string;
  readonly organization?: string | undefined;
}

/** organization is the organization as a whole, by its id or slug; without one, that of a key or token that asks. */
export function organization(id = ""): Resource {
  return { type: "organization", id };
}

/** Question is one question: may this subject do that, there? */
export interface Question<P extends string = string> {
  readonly subject: Subject;
  readonly permission: P;
  readonly resource: Resource;
  /** The address that the request came from; credentials can be limited to some. */
  readonly address?: string | undefined;
  /** Where the work would run: where the organization's residency does not allow it, the answer is no, with region_not_allowed. */
  readonly region?: string | undefined;
  /** What a yes uses up, counted in the same call. */
  readonly count?: Count | undefined;
}

/**
 * Count is what a yes uses up. Where less is left of a limit, the answer is no with the reason quota_exceeded, and nothing
 * is counted. With an id, a question that is asked again counts once.
 */
export interface Count {
  /** A meter of the charter that adds up. */
  readonly meter: string;
  /** How much; 1 without it. */
  readonly amount?: number | undefined;
  readonly id?: string | undefined;
}

/** Holder is somebody who has what the subject lacks. */
export interface Holder {
  readonly member: string;
  readonly name: string;
  readonly role: string;
}

/** Decision is the answer to a question. What is not known of the subject is left out. */
export interface Decision {
  readonly allow: boolean;
  /** Why; its values never change. */
  readonly reason: string;
  /** On a no: the permission that was asked for. */
  readonly needs?: string;
  /** On a no: who has it, where the asker may see members. */
  readonly holders?: readonly Holder[];
  /** Where a person can mend it. */
  readonly fixUrl?: string;
  readonly user?: string;
  readonly member?: string;
  /** The id of the organization that was decided about. */
  readonly organization?: string;
  readonly role?: string;
  /** The id of the credential, never its secret. */
  readonly credential?: string;
  /** The kind of the credential. */
  readonly kind?: string;
  readonly region?: string;
  readonly plan?: string;
  /** What the plan unlocks. */
  readonly features?: readonly string[];
  /** On a yes that counted: what is left of the organization's limit, if there is one. */
  readonly remaining?: number;
  /** What the server's log calls the request. */
  readonly requestId?: string;
}

/** wireQuestion writes a question as AuthZEN does (section 6.1). */
export function wireQuestion(q: Question): object {
  const { type, id, organization } = q.resource;
  return {
    subject: { type: q.subject.type, id: q.subject.id },
    action: { name: q.permission },
    resource: { type, id, ...(organization && { properties: { organization } }) },
    ...((q.address || q.region || q.count) && { context: wireContext(q) }),
  };
}

/** wireContext writes what counts of the surroundings. A question may be sent again: with an id it counts once all the same. */
function wireContext({ address, region, count }: Question): object {
  return {
    ...(address && { address }),
    ...(region && { region }),
    ...(count && { usage: { meter: count.meter, amount: count.amount ?? 1, id: count.id ?? `chk_${crypto.randomUUID()}` } }),
  };
}

/** The texts of an answer's context, by our names. */
const texts = {
  needs: "needs",
  fixUrl: "fix_url",
  user: "user",
  member: "member",
  organization: "organization",
  role: "role",
  credential: "credential",
  kind: "kind",
  region: "region",
  plan: "plan",
} as const;

/** decisionOf reads an answer; undefined: it is none. Only the value true is a yes. */
export function decisionOf(answer: unknown, requestId?: string): Decision | undefined {
  if (!isObject(answer) || typeof answer["decision"] !== "boolean") {
    return undefined;
  }
  const context = isObject(answer["context"]) ? answer["context"] : {};
  const decision: Record<string, unknown> = { allow: answer["decision"], reason: textOf(context["reason"]) ?? "" };
  for (const [ours, theirs] of Object.entries(texts)) {
    const value = textOf(context[theirs]);
    if (value) {
      decision[ours] = value;
    }
  }
  if (Array.isArray(context["holders"])) {
    decision["holders"] = context["holders"];
  }
  const features = textsOf(context["features"]);
  if (features) {
    decision["features"] = features;
  }
  if (typeof context["remaining"] === "number") {
    decision["remaining"] = context["remaining"];
  }
  if (requestId) {
    decision["requestId"] = requestId;
  }
  return decision as unknown as Decision;
}

/** isObject tells a JSON object from every other value. */
export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** textsOf is a value that is a list of nothing but texts. */
function textsOf(value: unknown): string[] | undefined {
  return Array.isArray(value) && value.every((one) => typeof one === "string") ? value : undefined;
}

/** textOf is a value that is a text. */
export function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

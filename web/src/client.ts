// The client: check, checkAll, demand and introspect.

import { deniedBy } from "./errors.js";
import { decisionOf, isObject, wireQuestion } from "./questions.js";
import type { Decision, Question } from "./questions.js";
import { badAnswer, Transport } from "./transport.js";
import type { Answer, Options } from "./transport.js";

/** Checker answers questions. Guildhall is one; a product's tests may bring another. */
export interface Checker<P extends string = string> {
  check(question: Question<P>): Promise<Decision>;
}

/** Semantic says after which answer several questions stop (AuthZEN, section 7.1.2). */
export type Semantic = "execute_all" | "deny_on_first_deny" | "permit_on_first_permit";

/** Introspection is what a credential is and may do now. One that is unknown, ended or expired is not active, no more. */
export type Introspection =
  | { readonly active: false }
  | {
      readonly active: true;
      readonly kind: "user" | "key" | "token" | "service_key";
      readonly id: string;
      readonly organization?: string;
      readonly user?: string;
      /** The product's own id of the person. */
      readonly external_id?: string;
      readonly member?: string;
      readonly role?: string;
      readonly name?: string;
      /** What a key or token may now; none for what belongs to no organization. */
      readonly permissions: readonly string[];
      /** The single resources that it is for; without them it is for any. */
      readonly resources?: readonly string[];
      readonly read_only?: boolean;
      /** Groups of networks: a request has to come from one of each. */
      readonly networks?: readonly string[];
      readonly expires_at?: string;
      readonly plan?: string;
      readonly region?: string;
    };

/** Guildhall asks one server, with a service key. Every error is a GuildhallError and means no. */
export class Guildhall<P extends string = string> implements Checker<P> {
  readonly #transport: Transport;

  constructor(options: Options) {
    this.#transport = new Transport(options);
  }

  /** check answers one question. */
  async check(question: Question<P>): Promise<Decision> {
    const { body, requestId } = await this.#transport.post("/access/v1/evaluation", wireQuestion(question));
    const decision = decisionOf(body, requestId);
    if (!decision) {
      throw badAnswer(requestId);
    }
    return decision;
  }

  /**
   * checkAll answers up to 1000 questions at one moment, in their order. With a semantic that stops, what comes after the
   * answer that stopped it was not asked and is missing.
   */
  async checkAll(questions: readonly Question<P>[], options: { semantic?: Semantic } = {}): Promise<Decision[]> {
    if (questions.length === 0) {
      return [];
    }
    const semantic = options.semantic ?? "execute_all";
    const evaluations = questions.map(wireQuestion);
    const answer = await this.#transport.post("/access/v1/evaluations", { evaluations, options: { evaluations_semantic: semantic } });
    const decisions = decisionsOf(answer);
    if (!decisions || !complete(decisions, questions.length, semantic)) {
      throw badAnswer(answer.requestId);
    }
    return decisions;
  }

  /** demand answers one question, and throws Denied where the answer is no. */
  async demand(question: Question<P>): Promise<Decision> {
    const decision = await this.check(question);
    if (!decision.allow) {
      throw deniedBy(question.permission, decision);
    }
    return decision;
  }

  /** introspect tells what a credential is and may do now, as seen from an address. */
  async introspect(secret: string, options: { address?: string | undefined } = {}): Promise<Introspection> {
    const { address } = options;
    const answer = await this.#transport.post("/v1/credentials/introspect", { credential: secret, ...(address && { address }) });
    if (!isObject(answer.body) || typeof answer.body["active"] !== "boolean") {
      throw badAnswer(answer.requestId);
    }
    return answer.body["active"] ? ({ permissions: [], ...answer.body } as unknown as Introspection) : { active: false };
  }
}

/** decisionsOf reads the answers to several questions; undefined: one of them is none. */
function decisionsOf({ body, requestId }: Answer): Decision[] | undefined {
  if (!isObject(body) || !Array.isArray(body["evaluations"])) {
    return undefined;
  }
  const decisions = body["evaluations"].map((e) => decisionOf(e, requestId));
  return decisions.every((d) => d !== undefined) ? decisions : undefined;
}

/** complete reports whether there are as many answers as the semantic gives: fewer only after one that stops. */
function complete(decisions: readonly Decision[], asked: number, semantic: Semantic): boolean {
  if (decisions.length >= asked || semantic === "execute_all") {
    return decisions.length === asked;
  }
  return decisions.at(-1)?.allow === (semantic === "permit_on_first_permit");
}

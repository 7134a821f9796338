// Client of Guildhall: asks whether somebody may do something in an organization. It uses fetch and nothing else, so it
// runs in Node, in browsers and at the edge; the service key belongs on servers only.

export { Guildhall } from "./client.js";
export type { Checker, Introspection, Semantic } from "./client.js";
export { Denied, GuildhallError, RateLimited, Unauthenticated, Unavailable } from "./errors.js";
export type { FieldError, Problem } from "./errors.js";
export { credential, organization, user } from "./questions.js";
export type { Count, Decision, Holder, Question, Resource, Subject } from "./questions.js";
export { QueueFull, Recorder, Unsent } from "./recorder.js";
export type { RecorderOptions, UsageEvent } from "./recorder.js";
export type { Options } from "./transport.js";

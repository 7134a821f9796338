// How questions are sent: with the service key, within a time, and again where that may help.

import { answeredError, errorFrom, parsed, RateLimited, Unavailable } from "./errors.js";
import type { GuildhallError } from "./errors.js";

/** Options are what a client is made of. */
export interface Options {
  /** The server's address, as in "https://accounts.example.com". */
  readonly url: string;
  /** A service key. It is kept out of every error and log. */
  readonly key: string | undefined;
  /** Milliseconds that a call may take in all, with everything that is sent again; 5000 without it. */
  readonly timeout?: number | undefined;
  /** What sends requests, in place of the platform's own. */
  readonly fetch?: typeof fetch | undefined;
}

/** Answer is the JSON of an answer with status 200. */
export interface Answer {
  readonly body: unknown;
  readonly requestId: string | undefined;
}

/** How often a call is sent again at most, and the pause before the first time. */
const repeats = 2;
const firstPause = 100;

/** Transport posts JSON to one server. All that is posted by it may be sent again: it reads only, or counts once by its ids. */
export class Transport {
  readonly #base: string;
  readonly #key: string;
  readonly #timeout: number;
  readonly #fetch: typeof fetch;

  constructor(options: Options) {
    this.#base = baseOf(options.url);
    this.#key = keyOf(options.key);
    this.#timeout = options.timeout ?? 5000;
    const own = options.fetch;
    this.#fetch = own ?? ((input, init) => globalThis.fetch(input, init));
  }

  /** post sends a value until it is answered, refused, sent too often, or the time is over. Errors are GuildhallErrors. */
  async post(path: string, value: object): Promise<Answer> {
    const body = JSON.stringify(value);
    const deadline = Date.now() + this.#timeout;
    for (let again = 0; ; again++) {
      const outcome = await this.#once(path, body, deadline - Date.now());
      if (!(outcome instanceof Error)) {
        return outcome;
      }
      const pause = pauseAfter(outcome, again);
      if (again >= repeats || pause === undefined || Date.now() + pause >= deadline) {
        throw outcome;
      }
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }

  /** once sends a body one time, and gives the answer or the error. */
  async #once(path: string, body: string, left: number): Promise<Answer | GuildhallError> {
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(), left);
    try {
      const response = await this.#fetch(this.#base + path, { ...this.#request(body), signal: stop.signal });
      return read(response, await response.text());
    } catch (cause) {
      const code = stop.signal.aborted ? "timeout" : "no_answer";
      return errorFrom({ status: 0, code, detail: `no answer from ${new URL(this.#base).origin}` }, cause);
    } finally {
      clearTimeout(timer);
    }
  }

  /** A redirect is not followed: the key goes where it was sent, and nowhere else. */
  #request(body: string): RequestInit {
    const headers = { Authorization: `Bearer ${this.#key}`, "Content-Type": "application/json", Accept: "application/json" };
    return { method: "POST", headers, body, redirect: "manual" };
  }
}

/** read takes only JSON with status 200 for an answer. */
function read(response: Response, text: string): Answer | GuildhallError {
  if (response.status !== 200) {
    return answeredError(response, text);
  }
  const requestId = response.headers.get("Request-Id") ?? undefined;
  const body = parsed(text);
  return body === undefined ? badAnswer(requestId) : { body, requestId };
}

/** badAnswer is the error of an answer that is none of Guildhall's. */
export function badAnswer(requestId: string | undefined): GuildhallError {
  return errorFrom({ status: 0, code: "bad_answer", detail: "the answer is not one of Guildhall: is the address right?", requestId });
}

/** pauseAfter is how many milliseconds to wait before the next try; undefined: another try would not help. */
function pauseAfter(e: GuildhallError, again: number): number | undefined {
  const helps = e instanceof RateLimited || (e instanceof Unavailable && (e.status === 503 || e.code === "no_answer"));
  if (!helps) {
    return undefined;
  }
  const step = firstPause * 2 ** again;
  return (e.retryAfter ?? 0) * 1000 + step / 2 + (Math.random() * step) / 2;
}

/** baseOf refuses an address with a password too: fetch does not take one, and its error would show it. */
function baseOf(url: string): string {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  if (!parsed || !/^https?:$/.test(parsed.protocol) || parsed.username || parsed.password) {
    throw new TypeError("url has to be the address of a Guildhall server, as in https://accounts.example.com");
  }
  return url.replace(/\/+$/, "");
}

/** keyOf refuses what cannot stand in a header, since the platform's own error would show it. */
function keyOf(key: string | undefined): string {
  if (!key || !/^[\x21-\x7e]+$/.test(key)) {
    throw new TypeError("key has to be a service key: is GUILDHALL_SERVICE_KEY set?");
  }
  return key;
}

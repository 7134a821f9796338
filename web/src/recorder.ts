// The recorder: events of usage, gathered, sent in batches, and sent again with the same ids until they are recorded.

import { GuildhallError } from "./errors.js";
import { isObject } from "./questions.js";
import { Transport } from "./transport.js";
import type { Options } from "./transport.js";

/** UsageEvent is something that was used. */
export interface UsageEvent {
  readonly meter: string;
  /** How much: a whole number that is safe in JavaScript. A counter's event without one counts 1. */
  readonly value?: number | undefined;
  /** The event's own id: a second one of the same source counts nothing. Without it the recorder makes one. */
  readonly id?: string | undefined;
  readonly source?: string | undefined;
  /** When it was used; without it, when it was given to the recorder. */
  readonly at?: Date | undefined;
  readonly member?: string | undefined;
  readonly key?: string | undefined;
  readonly resource?: string | undefined;
  readonly region?: string | undefined;
  readonly model?: string | undefined;
  /** Of a meter that counts different things: the thing. */
  readonly item?: string | undefined;
  readonly corrects?: string | undefined;
}

/** RecorderOptions say how a recorder works, beside how it reaches the server. */
export interface RecorderOptions extends Options {
  /** Source of events that say none; "recorder" without it. It names an event together with its id. */
  readonly source?: string | undefined;
  /** How many events one request has at most; 500 without it, at most 1000. */
  readonly batch?: number | undefined;
  /** Milliseconds that an event waits at most before it is sent; 1000 without it. */
  readonly every?: number | undefined;
  /** How many events wait at most; 10,000 without it. */
  readonly queue?: number | undefined;
  /** Where the queue is full, record throws at once, in the place of waiting. */
  readonly drop?: boolean | undefined;
  /** Told of every event that the server refused for good. Without it, close throws all the same. */
  readonly refused?: ((organization: string, event: UsageEvent, code: string, detail: string) => void) | undefined;
}

/** QueueFull says that an event was not taken. */
export class QueueFull extends Error {
  constructor() {
    super("the recorder's queue is full: the event is not recorded");
    this.name = "QueueFull";
  }
}

/** Unsent says that a recorder was closed before everything was recorded. To record the events later counts none twice. */
export class Unsent extends Error {
  constructor(
    readonly events: ReadonlyMap<string, readonly UsageEvent[]>,
    cause: unknown,
  ) {
    super("not everything was recorded before the recorder was closed", { cause });
    this.name = "Unsent";
  }
}

interface Waiting {
  readonly organization: string;
  readonly event: UsageEvent & { readonly id: string; readonly source: string; readonly at: Date };
}

/** The pauses between requests that fail, in milliseconds. */
const firstPause = 200;
const longestPause = 30_000;

/** Recorder gathers events and sends them. Each counts once, whatever happens to connections and servers. Close it. */
export class Recorder {
  readonly #transport: Transport;
  readonly #options: RecorderOptions;
  readonly #batch: number;
  readonly #most: number;
  #queue: Waiting[] = [];
  #room: (() => void)[] = [];
  #timer: ReturnType<typeof setTimeout> | undefined;
  #sending: Promise<void> | undefined;
  #wake: (() => void) | undefined;
  #closed = false;
  #stopped = false;
  #refused = 0;
  #last: unknown;

  constructor(options: RecorderOptions) {
    this.#transport = new Transport(options);
    this.#options = options;
    this.#batch = Math.min(options.batch ?? 500, 1000);
    this.#most = options.queue ?? 10_000;
  }

  /** waiting is how many events are taken and not recorded yet. */
  get waiting(): number {
    return this.#queue.length;
  }

  /** record takes an event; where the queue is full it waits, or throws QueueFull: see drop. On disk the event is later. */
  async record(organization: string, event: UsageEvent): Promise<void> {
    const whole = { ...event, id: event.id ?? `evt_${crypto.randomUUID()}`, source: event.source ?? this.#options.source ?? "recorder", at: event.at ?? new Date() };
    while (!this.#closed && this.#queue.length >= this.#most) {
      if (this.#options.drop) {
        throw new QueueFull();
      }
      await new Promise<void>((resolve) => this.#room.push(resolve));
    }
    if (this.#closed) {
      throw new Error("the recorder is closed: the event is not recorded");
    }
    this.#queue.push({ organization, event: whole });
    if (this.#queue.length >= this.#batch) {
      void this.#run();
    } else {
      this.#timer ??= setTimeout(() => void this.#run(), this.#options.every ?? 1000);
    }
  }

  /** close takes no more events, and resolves when everything is recorded; after so many milliseconds it throws Unsent. */
  async close(within = 10_000): Promise<void> {
    this.#closed = true;
    this.#free();
    const late = setTimeout(() => {
      this.#stopped = true;
      this.#wake?.();
    }, within);
    await this.#run();
    clearTimeout(late);
    if (this.#queue.length > 0) {
      const events = new Map<string, UsageEvent[]>();
      for (const { organization, event } of this.#queue) {
        events.set(organization, [...(events.get(organization) ?? []), event]);
      }
      throw new Unsent(events, this.#last);
    }
    if (this.#refused > 0) {
      throw new Error(`${this.#refused} events were refused`);
    }
  }

  /** run sends everything that waits, one batch after another; there is one run at a time. */
  #run(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#sending ??= this.#drain().finally(() => {
      this.#sending = undefined;
    });
    return this.#sending;
  }

  async #drain(): Promise<void> {
    let tries = 0;
    while (this.#queue.length > 0 && !this.#stopped) {
      if (await this.#sendOne()) {
        tries = 0;
        continue;
      }
      const pause = Math.min(firstPause * 2 ** tries++, longestPause);
      await this.#pause(pause / 2 + (Math.random() * pause) / 2);
    }
  }

  /** pause waits, or until the recorder is stopped. */
  async #pause(milliseconds: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, milliseconds);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
      if (this.#stopped) {
        this.#wake();
      }
    });
    this.#wake = undefined;
  }

  /** sendOne sends the oldest events of one organization; false: they have to be sent again. */
  async #sendOne(): Promise<boolean> {
    const organization = this.#queue[0]?.organization ?? "";
    const batch = this.#queue.filter((w) => w.organization === organization).slice(0, this.#batch);
    try {
      const path = `/v1/organizations/${encodeURIComponent(organization)}/usage/events`;
      const { body } = await this.#transport.post(path, { events: batch.map((w) => w.event) });
      this.#settle(batch, body);
      return true;
    } catch (e) {
      this.#last = e;
      if (e instanceof GuildhallError && hopeless.includes(e.status)) {
        batch.forEach((w) => this.#tell(w, e.code, e.detail));
        this.#forget(batch);
        return true;
      }
      return false;
    }
  }

  #settle(batch: readonly Waiting[], body: unknown): void {
    const results = isObject(body) && Array.isArray(body["results"]) ? (body["results"] as unknown[]) : [];
    for (const r of results) {
      if (isObject(r) && r["status"] === "refused") {
        const w = batch[Number(r["index"])];
        if (w) {
          this.#tell(w, String(r["code"]), String(r["detail"]));
        }
      }
    }
    this.#forget(batch);
  }

  #tell(w: Waiting, code: string, detail: string): void {
    this.#refused++;
    this.#options.refused?.(w.organization, w.event, code, detail);
  }

  #forget(batch: readonly Waiting[]): void {
    const gone = new Set(batch);
    this.#queue = this.#queue.filter((w) => !gone.has(w));
    this.#free();
  }

  /** free lets everybody who waits for room look again. */
  #free(): void {
    const room = this.#room;
    this.#room = [];
    room.forEach((go) => go());
  }
}

/** hopeless are the statuses of requests that can never go well. A key that is refused may be mended while events wait. */
const hopeless: readonly number[] = [400, 404, 413, 415, 422];

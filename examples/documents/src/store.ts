// What the product keeps, in SQLite. Every statement names the organization: no row is found from another one.

import { randomBytes } from "node:crypto";

import sqlite from "node-sqlite3-wasm";
import type { BindValues, Database } from "node-sqlite3-wasm";

/** Pipeline is processors in an order. */
export interface Pipeline {
  readonly id: string;
  readonly name: string;
  readonly processors: readonly string[];
  readonly created_at: string;
}

/** Processor is one step: a kind of extraction with its settings. */
export interface Processor {
  readonly id: string;
  readonly name: string;
  readonly kind: string;
  readonly labels: readonly string[];
  readonly created_at: string;
}

/** File is a document's text. */
export interface File {
  readonly id: string;
  readonly name: string;
  readonly content: string;
  readonly created_at: string;
}

/** Entry is one request in the log. */
export interface Entry {
  readonly at: string;
  readonly method: string;
  readonly path: string;
  readonly status: number;
  readonly kind: string;
  readonly credential: string;
}

/** Usage is what an organization used in a month, and what it stores now, in bytes. */
export interface Usage {
  readonly month: string;
  readonly pages: number;
  readonly files: number;
  readonly requests: number;
  readonly storage: number;
}

/** Meter is what is counted. */
export type Meter = "pages" | "files" | "requests";

const schema = `
CREATE TABLE IF NOT EXISTS pipelines (
  organization text NOT NULL, id text NOT NULL, name text NOT NULL, processors text NOT NULL, created_at text NOT NULL,
  PRIMARY KEY (organization, id));
CREATE TABLE IF NOT EXISTS processors (
  organization text NOT NULL, id text NOT NULL, name text NOT NULL, kind text NOT NULL, labels text NOT NULL, created_at text NOT NULL,
  PRIMARY KEY (organization, id));
CREATE TABLE IF NOT EXISTS files (
  organization text NOT NULL, id text NOT NULL, name text NOT NULL, content text NOT NULL, created_at text NOT NULL,
  PRIMARY KEY (organization, id));
CREATE TABLE IF NOT EXISTS requests (
  organization text NOT NULL, seq integer PRIMARY KEY, at text NOT NULL, method text NOT NULL, path text NOT NULL,
  status integer NOT NULL, kind text NOT NULL, credential text NOT NULL);
CREATE INDEX IF NOT EXISTS requests_by_organization ON requests (organization, seq);
CREATE TABLE IF NOT EXISTS used (
  organization text NOT NULL, month text NOT NULL, meter text NOT NULL, amount integer NOT NULL,
  PRIMARY KEY (organization, month, meter));`;

type Row = Readonly<Record<string, string | number>>;

/** Store is the product's database: one file, of one process. */
export class Store {
  readonly #db: Database;

  private constructor(db: Database) {
    this.#db = db;
  }

  /** open opens or makes the database of a file. Close it. */
  static open(file: string): Store {
    const db = new sqlite.Database(file);
    try {
      db.exec(schema);
    } catch (cause) {
      db.close();
      throw new Error(`${file} is in use; if no process has it open, one was killed: remove the folder ${file}.lock`, { cause });
    }
    return new Store(db);
  }

  close(): void {
    this.#db.close();
  }

  pipelines(organization: string): Pipeline[] {
    return this.#all("SELECT id, name, processors, created_at FROM pipelines WHERE organization = ? ORDER BY id", [organization]).map(pipelineOf);
  }

  pipeline(organization: string, id: string): Pipeline | undefined {
    const row = this.#get("SELECT id, name, processors, created_at FROM pipelines WHERE organization = ? AND id = ?", [organization, id]);
    return row && pipelineOf(row);
  }

  addPipeline(organization: string, name: string, processors: readonly string[]): Pipeline {
    const added = { id: newID("pl"), name, processors, created_at: now() };
    const values = [organization, added.id, name, JSON.stringify(processors), added.created_at];
    this.#db.run("INSERT INTO pipelines (organization, id, name, processors, created_at) VALUES (?, ?, ?, ?, ?)", values);
    return added;
  }

  processors(organization: string): Processor[] {
    const sql = "SELECT id, name, kind, labels, created_at FROM processors WHERE organization = ? ORDER BY id";
    return this.#all(sql, [organization]).map(processorOf);
  }

  processor(organization: string, id: string): Processor | undefined {
    const row = this.#get("SELECT id, name, kind, labels, created_at FROM processors WHERE organization = ? AND id = ?", [organization, id]);
    return row && processorOf(row);
  }

  addProcessor(organization: string, name: string, kind: string, labels: readonly string[]): Processor {
    const added = { id: newID("pr"), name, kind, labels, created_at: now() };
    const values = [organization, added.id, name, kind, JSON.stringify(labels), added.created_at];
    this.#db.run("INSERT INTO processors (organization, id, name, kind, labels, created_at) VALUES (?, ?, ?, ?, ?, ?)", values);
    return added;
  }

  files(organization: string): Omit<File, "content">[] {
    const sql = "SELECT id, name, created_at FROM files WHERE organization = ? ORDER BY id";
    return this.#all(sql, [organization]) as unknown as File[];
  }

  file(organization: string, id: string): File | undefined {
    const sql = "SELECT id, name, content, created_at FROM files WHERE organization = ? AND id = ?";
    return this.#get(sql, [organization, id]) as File | undefined;
  }

  addFile(organization: string, name: string, content: string): File {
    const added = { id: newID("fl"), name, content, created_at: now() };
    const values = [organization, added.id, name, content, added.created_at];
    this.#db.run("INSERT INTO files (organization, id, name, content, created_at) VALUES (?, ?, ?, ?, ?)", values);
    return added;
  }

  /** removeFile reports whether there was such a file. */
  removeFile(organization: string, id: string): boolean {
    return this.#db.run("DELETE FROM files WHERE organization = ? AND id = ?", [organization, id]).changes > 0;
  }

  /** log notes a request that was let in, and counts it. */
  log(organization: string, e: Omit<Entry, "at">): void {
    const sql = "INSERT INTO requests (organization, at, method, path, status, kind, credential) VALUES (?, ?, ?, ?, ?, ?, ?)";
    this.#db.run(sql, [organization, now(), e.method, e.path, e.status, e.kind, e.credential]);
    this.count(organization, "requests", 1);
  }

  /** logs are the last requests, the latest first. */
  logs(organization: string): Entry[] {
    const sql = "SELECT at, method, path, status, kind, credential FROM requests WHERE organization = ? ORDER BY seq DESC LIMIT 100";
    return this.#all(sql, [organization]) as unknown as Entry[];
  }

  /** count adds to what was used this month. */
  count(organization: string, meter: Meter, amount: number): void {
    const sql = `INSERT INTO used (organization, month, meter, amount) VALUES (?, ?, ?, ?)
      ON CONFLICT (organization, month, meter) DO UPDATE SET amount = amount + excluded.amount`;
    this.#db.run(sql, [organization, now().slice(0, 7), meter, amount]);
  }

  /** usage is this month's. */
  usage(organization: string): Usage {
    const month = now().slice(0, 7);
    const used = { pages: 0, files: 0, requests: 0 };
    for (const row of this.#all("SELECT meter, amount FROM used WHERE organization = ? AND month = ?", [organization, month])) {
      used[row["meter"] as Meter] = row["amount"] as number;
    }
    const sum = "SELECT coalesce(sum(length(CAST(content AS blob))), 0) AS bytes FROM files WHERE organization = ?";
    return { month, ...used, storage: (this.#get(sum, [organization])?.["bytes"] as number) ?? 0 };
  }

  #all(sql: string, values: BindValues): Row[] {
    return this.#db.all(sql, values) as unknown as Row[];
  }

  #get(sql: string, values: BindValues): Row | undefined {
    return (this.#db.get(sql, values) ?? undefined) as Row | undefined;
  }
}

function pipelineOf(row: Row): Pipeline {
  return { ...row, processors: JSON.parse(String(row["processors"])) as string[] } as unknown as Pipeline;
}

function processorOf(row: Row): Processor {
  return { ...row, labels: JSON.parse(String(row["labels"])) as string[] } as unknown as Processor;
}

function now(): string {
  return new Date().toISOString();
}

/** newID begins with the time, so that ids sort by age. */
function newID(prefix: string): string {
  return `${prefix}_${Date.now().toString(36)}${randomBytes(6).toString("hex")}`;
}

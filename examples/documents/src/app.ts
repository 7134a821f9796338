// The product's routes.

import express from "express";
import type { Express, Request, RequestHandler } from "express";
import type { Guildhall } from "guildhall";

import { Access, organizationOf } from "./access.js";
import { text, texts } from "./input.js";
import type { Permission } from "./permissions.js";
import { invalid, notFound, onError, tell } from "./problems.js";
import { extract, kinds, pagesOf } from "./processing.js";
import type { Extracted } from "./processing.js";
import type { Pipeline, Processor, Store } from "./store.js";

/** makeApp makes the product over its database and Guildhall. */
export function makeApp(store: Store, hall: Guildhall<Permission>): Express {
  const access = new Access(hall);
  const app = express();
  app.disable("x-powered-by");
  app.use("/api", logging(store));
  pipelines(app, store, access);
  processors(app, store, access);
  files(app, store, access);
  reports(app, store, access);
  app.use((_req, res) => tell(res, notFound()));
  app.use(onError);
  return app;
}

/** A body is read once the request is let in. */
const json = express.json({ limit: "1mb" });

/** logging notes every request that was let in, once it is answered. */
function logging(store: Store): RequestHandler {
  return (req, res, next) => {
    const path = req.baseUrl + req.path;
    res.on("finish", () => {
      const who = req.guildhall;
      if (who?.organization) {
        const by = { kind: who.kind ?? "", credential: who.credential ?? "" };
        store.log(who.organization, { method: req.method, path, status: res.statusCode, ...by });
      }
    });
    next();
  };
}

function pipelines(app: Express, store: Store, access: Access): void {
  const may = access.needsOn("pipelines.use", "pipeline");
  app.get("/api/pipelines", may, (req, res) => void res.json({ data: store.pipelines(organizationOf(req)) }));
  app.post("/api/pipelines", may, json, (req, res) => {
    const organization = organizationOf(req);
    const steps = texts(req, "processors");
    stepsOf(store, organization, steps);
    res.status(201).json(store.addPipeline(organization, text(req, "name", 200), steps));
  });
  app.get("/api/pipelines/:id", may, (req, res) => void res.json(pipelineOf(store, req, idOf(req))));
  app.post("/api/pipelines/:id/run", may, json, async (req, res) => {
    const organization = organizationOf(req);
    const pipeline = pipelineOf(store, req, idOf(req));
    const id = text(req, "file", 100);
    await access.demand(req, "files.use", "file", id);
    const file = store.file(organization, id);
    if (!file) {
      throw notFound();
    }
    store.count(organization, "files", 1);
    res.json({ file: id, ...run(store, req, pipeline, file.content) });
  });
}

function processors(app: Express, store: Store, access: Access): void {
  const may = access.needsOn("processors.use", "processor");
  app.get("/api/processors", may, (req, res) => void res.json({ data: store.processors(organizationOf(req)) }));
  app.post("/api/processors", may, json, (req, res) => {
    const kind = text(req, "kind", 20);
    if (!Object.hasOwn(kinds, kind)) {
      throw invalid("kind", `is one of ${Object.keys(kinds).join(", ")}`);
    }
    res.status(201).json(store.addProcessor(organizationOf(req), text(req, "name", 200), kind, texts(req, "labels")));
  });
}

function files(app: Express, store: Store, access: Access): void {
  const may = access.needsOn("files.use", "file");
  app.get("/api/files", may, (req, res) => void res.json({ data: store.files(organizationOf(req)) }));
  app.post("/api/files", may, json, (req, res) => {
    const { content: _, ...added } = store.addFile(organizationOf(req), text(req, "name", 200), text(req, "content"));
    res.status(201).json(added);
  });
  app.get("/api/files/:id", may, (req, res) => {
    const file = store.file(organizationOf(req), idOf(req));
    if (!file) {
      throw notFound();
    }
    res.json(file);
  });
  app.delete("/api/files/:id", may, (req, res) => {
    if (!store.removeFile(organizationOf(req), idOf(req))) {
      throw notFound();
    }
    res.status(204).end();
  });
}

function reports(app: Express, store: Store, access: Access): void {
  app.post("/api/extract", access.needs("api.call"), json, (req, res) => {
    res.json(run(store, req, pipelineOf(store, req, text(req, "pipeline", 100)), text(req, "text")));
  });
  app.get("/api/usage", access.needs("usage.view"), (req, res) => void res.json(store.usage(organizationOf(req))));
  app.get("/api/logs", access.needs("logs.view"), (req, res) => void res.json({ data: store.logs(organizationOf(req)) }));
}

/** run runs a pipeline over a text, and counts its pages. */
function run(store: Store, req: Request, pipeline: Pipeline, content: string): { pipeline: string; pages: number; found: Extracted } {
  const organization = organizationOf(req);
  const pages = pagesOf(content);
  const found = extract(content, stepsOf(store, organization, pipeline.processors));
  store.count(organization, "pages", pages);
  return { pipeline: pipeline.id, pages, found };
}

function pipelineOf(store: Store, req: Request, id: string): Pipeline {
  const pipeline = store.pipeline(organizationOf(req), id);
  if (!pipeline) {
    throw notFound();
  }
  return pipeline;
}

/** stepsOf are the processors of ids, all of the organization. */
function stepsOf(store: Store, organization: string, ids: readonly string[]): Processor[] {
  return ids.map((id) => {
    const processor = store.processor(organization, id);
    if (!processor) {
      throw invalid("processors", `names ${id}, which is not there`);
    }
    return processor;
  });
}

/** idOf is the id in the path. */
function idOf(req: Request): string {
  return String(req.params["id"]);
}

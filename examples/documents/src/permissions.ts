/** Permission is one of the product's permissions, as charter/charters/documents.yaml names them. */
export type Permission = "pipelines.use" | "processors.use" | "files.use" | "api.call" | "usage.view" | "logs.view";

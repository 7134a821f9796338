import assert from "node:assert/strict";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import ts from "typescript";

const root = fileURLToPath(new URL("..", import.meta.url));
const page = readFileSync(new URL("../../docs/typescript.md", import.meta.url), "utf8");
const blocks = [...page.matchAll(/^```ts\n(.*?)^```/gms)].map((found) => found[1] ?? "");

/** What the page takes for granted. */
const around = `declare const hall: import("guildhall").Guildhall;
declare const secret: string;
declare function pipelineOf(organization: string | undefined, id: string): object;
`;

test("the documentation's code compiles", async (t) => {
  assert.ok(blocks.length >= 3, `only ${blocks.length} blocks were found`);
  const { config } = ts.readConfigFile(fileURLToPath(new URL("../test/tsconfig.json", import.meta.url)), ts.sys.readFile) as { config: object };
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, fileURLToPath(new URL("../test", import.meta.url)));
  for (const [i, code] of blocks.entries()) {
    await t.test(code.split("\n", 1)[0] ?? "", () => {
      const file = fileURLToPath(new URL(`page-${i}.ts`, import.meta.url));
      writeFileSync(file, (code.includes("const hall =") ? around.replace(/.*hall:.*\n/, "") : around) + code);
      try {
        const program = ts.createProgram([file], { ...options, rootDir: root, noEmit: true, noUnusedLocals: false, skipLibCheck: true });
        const told = ts.getPreEmitDiagnostics(program).map((d) => ts.flattenDiagnosticMessageText(d.messageText, "\n"));
        assert.deepEqual(told, []);
      } finally {
        rmSync(file);
      }
    });
  }
});

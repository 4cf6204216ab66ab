// Uses the page of `seqfit serve` for a network that takes rows of numbers, like a person, and fails if it misbehaves,
// or if text is cut or overlapped. Prints its findings as a JSON object.
//
//   node check_rows.mjs URL CHROMIUM ROWS.json EXPECTED.json KIND [FOLDER FOR SCREENSHOTS]
//
// ROWS.json: at least 300 samples of 64 numbers. EXPECTED.json: the lines of `seqfit predict --json` for them. KIND:
// numbers, labels or class.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { measure, VIEWS } from "./text_faults.mjs";

const [url, executablePath, rowsFile, expectedFile, kind, shots] = process.argv.slice(2);
const rows = JSON.parse(await readFile(rowsFile, "utf8"));
const expected = JSON.parse(await readFile(expectedFile, "utf8"));
const axe = await readFile(createRequire(import.meta.url).resolve("axe-core"), "utf8");
const browser = await chromium.launch({
  executablePath,
  args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
});
const found = { violations: {}, layouts: 0 };

/** Opens the page; any logged error and any request to another server is a failure. */
async function open(options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, acceptDownloads: true, ...options });
  // A page can be slow on a busy machine.
  context.setDefaultTimeout(120_000);
  const page = await context.newPage();
  page.wrong = [];
  page.on("pageerror", (error) => page.wrong.push(String(error)));
  page.on("request", (request) => {
    if (!request.url().startsWith(url) && !/^(data|blob):/.test(request.url())) page.wrong.push(`asked for ${request.url()}`);
  });
  await page.goto(url);
  return page;
}

async function checkAccessibility(page, name) {
  await page.evaluate(axe);
  const { violations, passes } = await page.evaluate(() => globalThis.axe.run());
  assert.ok(passes.length > 10, "axe has looked at something");
  found.violations[name] = violations.map(({ id, impact }) => `${impact}: ${id}`);
  const serious = violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
  assert.deepEqual(serious.map(({ id, nodes }) => [id, nodes.map((node) => node.html)]), [], name);
}

const answered = (page) => page.waitForFunction(() => document.body.dataset.answer !== undefined);
const text = (samples) => samples.map((row) => row.join(", ")).join("\n");

async function predict(page, typed) {
  await page.locator("#rows").fill(typed);
  await page.getByRole("button", { name: "Predict" }).click();
}

/** Returns the cells of the table's body. */
const cells = (page) =>
  page.evaluate(() => [...document.querySelectorAll("tbody tr")].map((row) => [...row.children].map((cell) => cell.textContent)));

/** Checks the table against the expected predictions. */
async function check(page, count) {
  await answered(page);
  const table = await cells(page);
  assert.equal(table.length, count);
  table.forEach((row, i) => {
    const one = expected[i];
    assert.equal(row[0], String(i + 1));
    if (kind === "numbers") {
      const value = one.values.target;
      assert.ok(Math.abs(Number(row[1]) - value) <= 1e-5 * Math.abs(value), `${row} ${value}`);
    } else if (kind === "labels") {
      assert.equal(row[1], one.labels.join(", ") || "none");
      Object.values(one.probabilities).forEach((share, j) =>
        assert.ok(Math.abs(parseFloat(row[j + 2]) - 100 * share) < 0.06, `${row} ${share}`));
    } else {
      assert.equal(row[1], one.class);
      assert.ok(Math.abs(parseFloat(row[2]) - 100 * one.probability) < 0.06);
      assert.ok(row[3].startsWith(`${one.top[1].class} (`), `${row}`);
    }
  });
}

/** Returns the reason why there is no prediction. */
async function reason(page) {
  await page.getByRole("alert").waitFor({ state: "visible" });
  assert.equal(await page.locator("body").getAttribute("data-answer"), null, "no answer beside the reason");
  return page.locator("#reason").textContent();
}

const page = await open();
assert.ok(await page.getByRole("button", { name: "Predict" }).isDisabled(), "there is nothing to predict yet");
found.title = await page.locator("h1").textContent();
assert.equal(await page.locator("canvas").count(), 0, "there is nothing to draw on");
await checkAccessibility(page, "light, empty");

// Rows as CSV, with tabs, as JSON, with a header and an empty line; Ctrl+Enter; more than a request may have.
await predict(page, text(rows.slice(0, 3)));
await check(page, 3);
await checkAccessibility(page, "light, answered");
await predict(page, rows.slice(0, 2).map((row) => row.join("\t")).join("\r\n") + "\n\n");
await check(page, 2);
await predict(page, rows.slice(0, 2).map((row) => row.join("; ")).join("\n"));
await check(page, 2);
await predict(page, rows[0].join(" "));
await check(page, 1);
await predict(page, JSON.stringify(rows.slice(0, 4)));
await check(page, 4);
await predict(page, JSON.stringify({ inputs: rows[0] }));
await check(page, 1);
await predict(page, [rows[0].map((_, i) => `column ${i}`).join(","), text(rows.slice(0, 2))].join("\n"));
await check(page, 2);
assert.match(await page.locator("#summary").textContent(), /2 samples · the first line was taken as column names/);
await page.locator("#rows").fill(text(rows.slice(0, 300)));
await page.locator("#rows").press("Control+Enter");
await check(page, 300);

// Saved as CSV.
const downloading = page.waitForEvent("download");
await page.getByRole("button", { name: "Save as CSV" }).click();
const saved = (await readFile(await (await downloading).path(), "utf8")).trim().split("\n");
assert.equal(saved.length, 301);
assert.match(saved[0], { numbers: /^sample,target$/, labels: /^sample,labels,label_0,label_1,label_2$/, class: /^sample,class,probability,probability of 0,/ }[kind]);
if (kind === "numbers") assert.ok(Math.abs(Number(saved[1].split(",")[1]) - expected[0].values.target) < 1e-2);

// A file.
const file = { name: "rows.csv", mimeType: "text/csv", buffer: Buffer.from(text(rows.slice(0, 5))) };
await page.locator("#file").setInputFiles(file);
await check(page, 5);
await page.locator("#file").setInputFiles({ name: "x.npz", mimeType: "application/zip", buffer: Buffer.from([80, 75, 3, 4, 0, 0, 255]) });
assert.match(await reason(page), /x\.npz is not text.*seqfit predict reads \.npz/);

// What is wrong is said with its place, by the page or by the server.
const short = rows[0].slice(1);
for (const [typed, words] of [
  [text([rows[0], short]), /^Line 2 has 63 numbers, and a sample has 64\.$/],
  [text([rows[0], ["x", ...short]]), /^Line 2, column 1 is "x": a number is needed\.$/],
  [text([rows[0], ["", ...short]]), /^Line 2, column 1 is empty: a number is needed\.$/],
  [text([["NaN", ...short]]), /^Line 1, column 1 is "NaN": a number is needed\.$/],
  [JSON.stringify([rows[0], short]), /^Sample 2 has 63 numbers/],
  ["[1, 2", /^This begins like JSON and is not/],
  [JSON.stringify({ x: [1] }), /^JSON is a list of samples, or \{"inputs": \[\.\.\.\]\}\.$/],
  [text([rows[0].map(() => 1e39)]), /a number must fit into f32, found 1e39/],
  [text([rows[0], rows[0].map(() => 3e38)]), /^Sample 2: a prediction must be finite/],
]) {
  await predict(page, typed);
  assert.match(await reason(page), words);
}
await checkAccessibility(page, "light, refused");
await page.getByRole("button", { name: "Clear" }).click();
assert.equal(await page.getByRole("alert").isVisible(), false);
assert.equal(await page.locator("#rows").inputValue(), "");

// While the server is busy, the page retries; if it is gone, it says so and offers to try again.
let left = 2;
await page.route("**/predict", (route) => {
  if (left-- <= 0) return route.continue();
  const body = JSON.stringify({ error: { rule: "busy", message: "the queue is full" } });
  return route.fulfill({ status: 503, headers: { "Retry-After": "1" }, contentType: "application/json", body });
});
await predict(page, text(rows.slice(0, 2)));
assert.match(await page.locator("#reason").textContent().then(async (t) => t || (await reason(page))), /^the queue is full/);
await check(page, 2);
await page.unrouteAll();
await page.route("**/predict", (route) => route.abort());
await predict(page, text(rows.slice(0, 2)));
assert.match(await reason(page), /does not answer/);
await page.unrouteAll();
await page.getByRole("button", { name: "Try again" }).click();
await check(page, 2);
assert.deepEqual(page.wrong, []);

// No text is cut or overlapped at any width: empty, with predictions, and with a reason.
for (const { width, colorScheme, name } of VIEWS) {
  const view = await open({ colorScheme, viewport: { width, height: 844 } });
  const shot = (state) => shots && view.screenshot({ path: join(shots, `serve-rows-${kind}-${state}-${name.replace(" ", "-")}.png`), fullPage: true });
  assert.deepEqual(await measure(view), [], `${name}, empty`);
  await shot("empty");
  await predict(view, text(rows.slice(0, 8)));
  await check(view, 8);
  assert.deepEqual(await measure(view), [], `${name}, answered`);
  await shot("answered");
  if (name === "390 dark") await checkAccessibility(view, "dark, answered");
  await predict(view, text([short]));
  await reason(view);
  await view.getByText("For programs").click();
  assert.deepEqual(await measure(view), [], `${name}, refused`);
  await shot("refused");
  assert.deepEqual(view.wrong, []);
  found.layouts += 3;
  await view.context().close();
}

await browser.close();
console.log(JSON.stringify(found));

// Uses the page of `seqfit serve` in a real browser like a person, and fails if it misbehaves. Prints its
// findings as a JSON object.
//
//   node check_drawing.mjs URL CHROMIUM DIGITS.json [FOLDER FOR SCREENSHOTS]
//
// DIGITS.json: [{"label": "7", "pixels": [[0, …], …]}, …]; with "right": true a digit must be predicted correctly.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { measure, VIEWS } from "./text_faults.mjs";
import { strokesOf } from "./digit_to_strokes.mjs";

const [url, executablePath, digitsFile, shots] = process.argv.slice(2);
const digits = JSON.parse(await readFile(digitsFile, "utf8"));
const axe = await readFile(createRequire(import.meta.url).resolve("axe-core"), "utf8");

const browser = await chromium.launch({
  executablePath,
  args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
});
const found = { predicted: {}, violations: {} };

/** Opens the page in a new window; any logged error and any request to another server is a failure. */
async function open(options) {
  const context = await browser.newContext({ viewport: { width: 1120, height: 760 }, ...options });
  const page = await context.newPage();
  page.wrong = [];
  page.on("pageerror", (error) => page.wrong.push(String(error)));
  page.on("console", (message) => message.type() === "error" && page.wrong.push(message.text()));
  page.on("request", (request) => {
    const asked = request.url();
    if (!asked.startsWith(url) && !/^(data|blob):/.test(asked)) page.wrong.push(`asked for ${asked}`);
  });
  await page.goto(url);
  return page;
}

async function draw(page, pixels) {
  const box = await page.locator("#canvas").boundingBox();
  for (const stroke of strokesOf(pixels)) {
    const at = ([x, y]) => [box.x + x * box.width, box.y + y * box.height];
    await page.mouse.move(...at(stroke[0]));
    await page.mouse.down();
    for (const point of stroke.slice(1)) await page.mouse.move(...at(point));
    await page.mouse.up();
  }
}

/** Returns the prediction, after all requests have completed. */
async function answer(page) {
  await page.waitForLoadState("networkidle");
  await page.waitForFunction(() => document.body.dataset.answer !== undefined, null, { timeout: 10000 });
  await page.waitForTimeout(300);
  return page.locator("body").getAttribute("data-answer");
}

async function empty(page) {
  await page.waitForFunction(() => document.body.dataset.answer === undefined, null, { timeout: 10000 });
}

async function checkAccessibility(page, name) {
  await page.evaluate(axe);
  const { violations, passes } = await page.evaluate(() => globalThis.axe.run());
  assert.ok(passes.length > 10, "axe has looked at something");
  found.violations[name] = violations.map(({ id, impact }) => `${impact}: ${id}`);
  const serious = violations.filter(({ impact }) => ["serious", "critical"].includes(impact));
  assert.deepEqual(serious.map(({ id, nodes }) => [id, nodes.map((node) => node.html)]), [], name);
}

async function fits(page, name) {
  const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(wider <= 0, `${name}: ${wider} pixels wider than the window`);
}

async function shot(page, name) {
  if (shots) await page.screenshot({ path: join(shots, `${name}.png`) });
}

// Every digit, drawn with the pointer.
const page = await open({ colorScheme: "light" });
await checkAccessibility(page, "light, empty");
for (const { label, pixels, right } of digits) {
  await draw(page, pixels);
  const predicted = await answer(page);
  found.predicted[label] = predicted;
  if (right) assert.equal(predicted, label, `a drawn ${label}`);
  await page.keyboard.press("Escape");
  await empty(page);
}

// The prepared image is shown, and screen readers hear the prediction once, when drawing pauses.
const last = digits.at(-1);
await page.reload();
await page.evaluate(() => {
  globalThis.heard = [];
  const status = document.getElementById("status");
  new MutationObserver(() => heard.push(status.textContent)).observe(status, { childList: true });
});
await draw(page, last.pixels);
const predicted = await answer(page);
await page.waitForTimeout(1200);
const heard = await page.evaluate(() => globalThis.heard);
assert.equal(heard.length, 1, `heard ${JSON.stringify(heard)}`);
assert.match(heard[0], new RegExp(`^${predicted}, \\d+ percent sure$`));
const lit = await page.evaluate(() => {
  const seen = document.getElementById("seen");
  const { data } = seen.getContext("2d").getImageData(0, 0, seen.width, seen.height);
  return { width: seen.width, lit: data.filter((value, i) => i % 4 === 0 && value > 100).length };
});
assert.equal(lit.width, last.pixels.length <= 8 ? 8 : 28);
assert.ok(lit.lit > 5, "the prepared image shows ink");
await checkAccessibility(page, "light, answered");
await fits(page, "wide");
await shot(page, "serve");

// Undo reverts strokes one by one, and also reverts Clear.
await page.getByRole("button", { name: "Clear" }).click();
await empty(page);
await page.keyboard.press("Control+z");
assert.equal(await answer(page), predicted);
const count = strokesOf(last.pixels).length;
for (let i = 0; i < count; i++) await page.getByRole("button", { name: "Undo" }).click();
await empty(page);
assert.ok(await page.getByRole("button", { name: "Undo" }).isDisabled());

// With the keyboard only: the first Tab reaches the drawing area.
await page.reload();
await page.keyboard.press("Tab");
assert.equal(await page.evaluate(() => document.activeElement.id), "canvas");
assert.ok(await page.getByText("Arrow keys move the pen").isVisible());
for (let i = 0; i < 10; i++) await page.keyboard.press("ArrowUp");
await page.keyboard.press("Space");
for (let i = 0; i < 20; i++) await page.keyboard.press("ArrowDown");
await page.keyboard.press("Space");
const byKeys = await answer(page);
if (digits[0].right) assert.equal(byKeys, "1", "a line drawn by keys");
const order = [];
for (let i = 0; i < 4; i++) {
  await page.keyboard.press("Tab");
  order.push(await page.evaluate(() => document.activeElement.id || document.activeElement.tagName));
}
assert.deepEqual(order, ["undo", "clear", "choose", "SUMMARY"]);

// A picture, chosen, dropped and pasted.
const png = await page.evaluate((pixels) => {
  const picture = document.createElement("canvas");
  [picture.width, picture.height] = [pixels[0].length * 8, pixels.length * 8];
  const context = picture.getContext("2d");
  pixels.forEach((row, y) => row.forEach((value, x) => {
    context.fillStyle = `rgb(${255 - value}, ${255 - value}, ${255 - value})`;
    context.fillRect(8 * x, 8 * y, 8, 8);
  }));
  return picture.toDataURL("image/png").split(",")[1];
}, last.pixels);
const buffer = Buffer.from(png, "base64");
await page.locator("#file").setInputFiles({ name: "digit.png", mimeType: "image/png", buffer });
const chosen = await answer(page);
if (last.right) assert.equal(chosen, last.label, "a chosen picture");
for (const [target, kind] of [["pad", "drop"], ["canvas", "paste"]]) {
  await page.keyboard.press("Escape");
  await empty(page);
  await page.evaluate(([png, target, kind]) => {
    const bytes = Uint8Array.from(atob(png), (c) => c.charCodeAt(0));
    const data = new DataTransfer();
    data.items.add(new File([bytes], "digit.png", { type: "image/png" }));
    const options = { bubbles: true, cancelable: true };
    const event = kind === "drop"
      ? new DragEvent(kind, { ...options, dataTransfer: data })
      : new ClipboardEvent(kind, { ...options, clipboardData: data });
    document.getElementById(target).dispatchEvent(event);
  }, [png, target, kind]);
  assert.equal(await answer(page), chosen, kind);
}
// A stroke on a picture starts a new drawing, and undoing it restores the picture.
await draw(page, digits[0].pixels);
await answer(page);
for (const _ of strokesOf(digits[0].pixels)) await page.keyboard.press("Control+z");
await page.waitForTimeout(500);
assert.equal(await answer(page), chosen, "the picture is back");
// A file that is not a picture is reported.
await page.locator("#file").setInputFiles({ name: "a.png", mimeType: "image/png", buffer: Buffer.from("x") });
await page.getByRole("alert").waitFor({ state: "visible" });
await checkAccessibility(page, "light, wrong file");
assert.deepEqual(page.wrong, []);

// In dark mode, without motion, and with everything expanded.
const dark = await open({ colorScheme: "dark", reducedMotion: "reduce" });
await draw(dark, (digits[3] ?? digits[0]).pixels);
await answer(dark);
await checkAccessibility(dark, "dark, answered");
await shot(dark, "serve-dark");
await dark.getByText("For programs").click();
await checkAccessibility(dark, "dark, open");
assert.match(await dark.locator("#curl").textContent(), /^curl --data-binary/);
const moving = await dark.evaluate(() => getComputedStyle(document.querySelector(".fill")).transitionDuration);
assert.equal(moving, "0s");
assert.deepEqual(dark.wrong, []);

// No text is cut or overlapped at any width: empty, with a prediction, and expanded.
for (const { width, colorScheme, name } of VIEWS) {
  const view = await open({ colorScheme, viewport: { width, height: 844 } });
  assert.deepEqual(await measure(view), [], `${name}, empty`);
  await draw(view, (digits[5] ?? digits[0]).pixels);
  await answer(view);
  assert.deepEqual(await measure(view), [], `${name}, answered`);
  await shot(view, `serve-digits-${name.replace(" ", "-")}`);
  await view.getByText("For programs").click();
  assert.deepEqual(await measure(view), [], `${name}, open`);
  assert.deepEqual(view.wrong, []);
  await view.context().close();
}

// On a small phone, by touch: drawing does not scroll.
const phone = await open({
  viewport: { width: 320, height: 640 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true,
});
const touch = await phone.context().newCDPSession(phone);
const box = await phone.locator("#canvas").boundingBox();
for (const stroke of strokesOf((digits[2] ?? digits[0]).pixels)) {
  const send = (type, point) => touch.send("Input.dispatchTouchEvent", {
    type, touchPoints: point ? [{ x: box.x + point[0] * box.width, y: box.y + point[1] * box.height }] : [],
  });
  await send("touchStart", stroke[0]);
  for (const point of stroke.slice(1)) await send("touchMove", point);
  await send("touchEnd");
}
found.finger = await answer(phone);
if (digits[2]?.right) assert.equal(found.finger, digits[2].label, "drawn by finger");
assert.equal(await phone.evaluate(() => scrollY), 0);
await fits(phone, "phone");
await checkAccessibility(phone, "phone");
await shot(phone, "serve-phone");
assert.deepEqual(phone.wrong, []);

await browser.close();
console.log(JSON.stringify(found));

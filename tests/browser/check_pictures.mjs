// Opens the page of `seqfit serve` for a network of pictures. Fails if the page offers controls that make no
// sense for it, if a refusal lacks its reason, or if text is cut or overlapped. Prints its findings as a JSON
// object.
//
//   node check_pictures.mjs URL CHROMIUM PICTURE.png REFUSED.png NAME [FOLDER FOR SCREENSHOTS]
//
// The server accepts PICTURE.png and refuses REFUSED.png. If it accepts everything, REFUSED.png is "-", and a
// simulated refusal is used. NAME is the prefix of the screenshots' names.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { measure, VIEWS } from "./text_faults.mjs";

const [url, executablePath, picture, refused, prefix, shots] = process.argv.slice(2);
const browser = await chromium.launch({
  executablePath,
  args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
});
const found = { reasons: {}, layouts: 0 };
const json = (message) => JSON.stringify({ error: { rule: "x", message } });

async function open(options = {}, hurried = false) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  // A page can be slow on a busy machine.
  context.setDefaultTimeout(180_000);
  const page = await context.newPage();
  page.errors = [];
  page.on("pageerror", (error) => page.errors.push(String(error)));
  page.on("filechooser", () => (page.choosers = (page.choosers ?? 0) + 1));
  // Shortens the timeout of 15 seconds to a tenth of a second for cases without a response.
  if (hurried) {
    await page.addInitScript(() => {
      const own = AbortSignal.timeout.bind(AbortSignal);
      AbortSignal.timeout = (ms) => own(globalThis.unhurried ? ms : ms / 150);
    });
  }
  await page.goto(url);
  return page;
}

const choose = (page, file) => page.locator("#file").setInputFiles(file);

/** Shows a picture that is refused. */
async function refuse(page) {
  if (refused !== "-") return choose(page, refused);
  const body = json("the network takes images of 62x62 (height x width), found 1x9: send one of this size");
  await page.route("**/predict*", (route) => route.fulfill({ status: 400, body }));
  await choose(page, picture);
}

async function answer(page) {
  await page.waitForFunction(() => document.body.dataset.answer !== undefined, null, { timeout: 120_000 });
  return page.locator("body").getAttribute("data-answer");
}

/** Returns the reason, which must be below the picture and not over it. */
async function reason(page) {
  await page.getByRole("alert").waitFor({ state: "visible" });
  const [pad, place] = [await page.locator("#pad").boundingBox(), await page.getByRole("alert").boundingBox()];
  assert.ok(place.y >= pad.y + pad.height, "the reason is below the picture");
  assert.ok(!(await page.locator("#empty").isVisible()), "the picture is seen");
  assert.equal(await page.locator("body").getAttribute("data-answer"), null, "no answer beside the reason");
  return page.locator("#reason").textContent();
}

async function fits(page, name) {
  assert.deepEqual(await measure(page), [], name);
  found.layouts += 1;
}

const shot = (page, name) => shots && page.screenshot({ path: join(shots, `${name}.png`), fullPage: true });

const page = await open();
const draws = await page.evaluate(() => !document.body.classList.contains("pictures"));
found.draws = draws;
found.title = await page.locator("h1").textContent();
found.lead = await page.locator("#lead").textContent();
if (!draws) {
  assert.equal(await page.locator("#undo").isVisible(), false);
  assert.equal(await page.locator("#canvas").getAttribute("role"), "img");
  const box = await page.locator("#canvas").boundingBox();
  await page.mouse.click(box.x + box.width / 2, box.y + box.height / 2);
  for (let i = 0; i < 100 && !page.choosers; i++) await page.waitForTimeout(100);
  assert.equal(page.choosers, 1, "a click on the place for the picture chooses one");
  assert.equal(await page.evaluate(() => document.body.dataset.answer), undefined, "a click draws nothing");
}

await choose(page, picture);
found.answer = await answer(page);
await refuse(page);
found.reasons.refused = await reason(page);
if (refused !== "-") {
  // The server's own message, verbatim.
  const own = await page.evaluate(async (bytes) => {
    const body = Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0));
    const reply = await fetch("predict", { method: "POST", headers: { "Content-Type": "image/png" }, body });
    return { status: reply.status, body: await reply.json() };
  }, (await readFile(refused)).toString("base64"));
  assert.equal(own.status, 400, JSON.stringify(own));
  assert.equal(found.reasons.refused, own.body.error.message);
}
await page.unrouteAll();
// The next picture is predicted, and the reason disappears.
await choose(page, picture);
assert.equal(await answer(page), found.answer);
assert.equal(await page.getByRole("alert").isVisible(), false);

// Errors from the server or from a proxy, and missing responses.
const html = "<html><body>proxy</body></html>";
const CASES = {
  413: [{ status: 413, body: json("a body may have 4194304 bytes, found more") }, /^a body may have 4194304/],
  "413 of a proxy": [{ status: 413, body: html }, /too large for the server \(HTTP 413\)/],
  415: [{ status: 415, body: json("Content-Type must be image/png") }, /^Content-Type must be/],
  "415 of a proxy": [{ status: 415, body: html }, /this kind of picture \(HTTP 415\)/],
  500: [{ status: 500, body: json("the network has stopped answering") }, /^the network has stopped answering/, "again"],
  502: [{ status: 502, body: html }, /cannot be reached \(HTTP 502\)/, "again"],
  418: [{ status: 418, body: "" }, /no answer \(HTTP 418\)/],
  "200 without JSON": [{ status: 200, body: html }, /no answer \(HTTP 200\)/],
  gone: ["abort", /does not answer/, "again"],
  late: ["hang", /no answer from the server within 15 seconds/, "again"],
};
for (const [name, [reply, words, again]] of Object.entries(CASES)) {
  const failing = await open({}, reply === "hang");
  let fails = true;
  await failing.route("**/predict*", (route) => {
    if (!fails) return route.continue();
    if (reply === "abort") return route.abort();
    if (reply === "hang") return undefined;
    return route.fulfill({ contentType: "text/plain", ...reply });
  });
  await choose(failing, picture);
  found.reasons[name] = await reason(failing);
  assert.match(found.reasons[name], words, name);
  const button = failing.getByRole("button", { name: "Try again" });
  assert.equal(await button.isVisible(), Boolean(again), `${name}: a way to try again`);
  if (again) {
    fails = false;
    await failing.evaluate(() => (globalThis.unhurried = true));
    await button.click();
    assert.equal(await answer(failing), found.answer, `${name}, tried again`);
  }
  assert.deepEqual(failing.errors, [], name);
  await failing.context().close();
}

// While the server is busy, the page says so and retries automatically.
for (const status of [429, 503]) {
  const busy = await open();
  let left = 2;
  await busy.route("**/predict*", (route) => {
    if (left-- <= 0) return route.continue();
    const headers = { "Retry-After": "1" };
    return route.fulfill({ status, headers, contentType: "application/json", body: json("the queue is full") });
  });
  await choose(busy, picture);
  found.reasons[status] = await reason(busy);
  assert.match(found.reasons[status], /^the queue is full/);
  assert.equal(await answer(busy), found.answer);
  await busy.context().close();
}

// No text is cut or overlapped: empty, with a prediction, refused, and with all classes.
for (const { width, colorScheme, name } of VIEWS) {
  const view = await open({ colorScheme, viewport: { width, height: 844 } });
  await fits(view, `${name}, empty`);
  await choose(view, picture);
  await answer(view);
  await fits(view, `${name}, answered`);
  await shot(view, `${prefix}-answered-${name.replace(" ", "-")}`);
  const more = view.locator("#more");
  if (await more.isVisible()) {
    const rows = () => view.locator("#bars li:visible").count();
    assert.equal(await rows(), 12);
    await more.click();
    found.classes = await rows();
    await fits(view, `${name}, all classes`);
    await more.click();
    assert.equal(await rows(), 12);
  }
  await refuse(view);
  await reason(view);
  await fits(view, `${name}, refused`);
  await shot(view, `${prefix}-refused-${name.replace(" ", "-")}`);
  assert.deepEqual(view.errors, []);
  await view.context().close();
}

// The same check finds an existing fault.
await page.evaluate(() => {
  const name = document.querySelector(".bars .name");
  name.textContent = "a name that is much too long for its place in the list of classes";
  Object.assign(name.style, { overflow: "hidden", whiteSpace: "nowrap", textOverflow: "ellipsis" });
});
found.injected = await measure(page);
assert.ok(found.injected.some((fault) => fault.startsWith("cut:")), JSON.stringify(found.injected));

await browser.close();
console.log(JSON.stringify(found));

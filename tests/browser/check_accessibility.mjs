// Opens pages in a real Chromium without network access, and prints one JSON object per page: axe's findings
// in light and dark mode, the page's requests and console messages, and whether it fits a narrow screen.
//
//     node check_accessibility.mjs CHROMIUM PAGE… [--screenshot FILE]
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";

const axe = fs.readFileSync(createRequire(import.meta.url).resolve("axe-core"), "utf8");
const [executablePath, ...rest] = process.argv.slice(2);
const at = rest.indexOf("--screenshot");
const screenshot = at < 0 ? null : rest.splice(at, 2)[1];

const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
for (const file of rest) {
  const result = { page: file, requests: [], complaints: [], violations: {}, contrast: 0 };
  for (const colorScheme of ["light", "dark"]) {
    // The page's own policy forbids every script; only the test's script may bypass it.
    const context = await browser.newContext({
      colorScheme,
      bypassCSP: true,
      offline: true,
      viewport: { width: 1280, height: 900 },
    });
    const page = await context.newPage();
    const own = pathToFileURL(path.resolve(file)).href;
    page.on("request", (request) => {
      if (request.url() !== own && !request.url().startsWith("data:")) result.requests.push(request.url());
    });
    page.on("console", (message) => result.complaints.push(message.text()));
    page.on("pageerror", (error) => result.complaints.push(String(error)));
    await page.goto(own);
    await page.evaluate(() => document.querySelectorAll("details").forEach((part) => (part.open = true)));
    await page.evaluate(axe);
    const found = await page.evaluate(() => globalThis.axe.run());
    result.violations[colorScheme] = found.violations.map((violation) => ({
      id: violation.id,
      impact: violation.impact,
      nodes: violation.nodes.map((node) => node.html.slice(0, 200)),
    }));
    result.contrast += found.passes.filter((pass) => pass.id === "color-contrast").length;
    result[colorScheme] = await page.evaluate(() => {
      const style = getComputedStyle(document.body);
      const [plot] = document.querySelectorAll("svg line, svg polyline");
      return { paper: style.backgroundColor, ink: style.color, plot: getComputedStyle(plot).stroke };
    });
    await page.setViewportSize({ width: 320, height: 640 });
    result.narrow = await page.evaluate(() => document.documentElement.scrollWidth);
    if (screenshot && colorScheme === "light") {
      await page.setViewportSize({ width: 1280, height: 900 });
      await page.reload();
      // Scroll to the end of the second section.
      const box = await page.locator("section").nth(1).boundingBox();
      const clip = { x: 0, y: 0, width: 1280, height: Math.ceil(box.y + box.height) + 20 };
      await page.screenshot({ path: screenshot, clip, fullPage: true });
    }
    await context.close();
  }
  // As opened by a user: the policy allows the style and reports nothing.
  const context = await browser.newContext({ offline: true });
  const page = await context.newPage();
  page.on("console", (message) => result.complaints.push(message.text()));
  await page.goto(pathToFileURL(path.resolve(file)).href);
  result.padding = await page.evaluate(() => getComputedStyle(document.querySelector("section")).borderRadius);
  result.broken = await page.evaluate(
    () => [...document.images].filter((image) => !image.naturalWidth).length,
  );
  await context.close();
  console.log(JSON.stringify(result));
}
await browser.close();

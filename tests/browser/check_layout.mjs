// Opens pages in a real Chromium at each width, light and dark, collapsed and expanded, and prints one JSON
// object per page with the faults found by text_faults.mjs.
//
//     node check_layout.mjs CHROMIUM PAGE… [--screenshots FOLDER]
import path from "node:path";
import { pathToFileURL } from "node:url";
import { chromium } from "playwright-core";
import { measure, VIEWS } from "./text_faults.mjs";

const [executablePath, ...rest] = process.argv.slice(2);
const at = rest.indexOf("--screenshots");
const screenshots = at < 0 ? null : rest.splice(at, 2)[1];

const browser = await chromium.launch({
  executablePath,
  args: ["--no-sandbox"],
  // With visible scroll bars, as on users' screens.
  ignoreDefaultArgs: ["--hide-scrollbars"],
});
for (const file of rest) {
  const layout = {};
  for (const { width, colorScheme, name } of VIEWS) {
    // The page's own policy forbids every script; only the test's script may bypass it.
    const viewport = { width, height: 900 };
    const context = await browser.newContext({ colorScheme, bypassCSP: true, offline: true, viewport });
    // A page can be slow on a busy machine.
    context.setDefaultTimeout(180_000);
    const page = await context.newPage();
    await page.goto(pathToFileURL(path.resolve(file)).href);
    const folded = await measure(page);
    if (screenshots) {
      const shot = `${file.replace(/\.html$/, "").replaceAll("/", "-")}-${name.replace(" ", "-")}.png`;
      await page.screenshot({ path: path.join(screenshots, shot), fullPage: true });
    }
    await page.evaluate(() => document.querySelectorAll("details").forEach((part) => (part.open = true)));
    layout[name] = [...new Set([...folded, ...(await measure(page))])];
    await context.close();
  }
  console.log(JSON.stringify({ page: file, layout }));
}
await browser.close();

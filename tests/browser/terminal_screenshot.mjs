// Takes a screenshot of a program's terminal output, rendered by xterm.js in Chromium.
//
//     node terminal_screenshot.mjs CHROMIUM LOG COLUMNS PICTURE [UNTIL]
//
// LOG is a recording by `script`. UNTIL is a regular expression: output after its first match is not shown, so
// that a progress bar can be captured while it moves. Empty lines at the end are cut off.
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { chromium } from "playwright-core";

const [executablePath, log, columns, picture, until] = process.argv.slice(2);
const xterm = path.dirname(createRequire(import.meta.url).resolve("@xterm/xterm/package.json"));

// `script` adds a line before and one after.
let text = fs.readFileSync(log, "utf8");
text = text.slice(text.indexOf("\n") + 1).replace(/\r?\n?Script done on [^\n]*\n$/, "");
if (until) {
  const match = new RegExp(until).exec(text);
  if (!match) throw new Error(`${log} has nothing like ${until}`);
  text = text.slice(0, match.index + match[0].length);
}

const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
const page = await browser.newPage({ viewport: { width: 1600, height: 1600 }, deviceScaleFactor: 2 });
await page.setContent(`<body style="margin: 0; background: #10151c"><div id="frame" style="display: inline-block;
  padding: 14px 16px"><div id="terminal"></div></div>`);
await page.addStyleTag({ path: path.join(xterm, "css/xterm.css") });
await page.addStyleTag({ content: ".scrollbar { display: none !important }" });
await page.addScriptTag({ path: path.join(xterm, "lib/xterm.js") });
await page.evaluate(
  async ({ columns, text }) => {
    const rows = 200;
    const theme = { background: "#10151c", foreground: "#d7dde5", green: "#7fd07f", red: "#ff8f70" };
    // At this size a letter is almost exactly 16 by 31 pixels, so blocks and frames have no seams.
    const look = { fontFamily: "DejaVu Sans Mono", fontSize: 13.29, theme, scrollback: 0 };
    const terminal = new Terminal({ cols: columns, rows, ...look });
    terminal.open(document.getElementById("terminal"));
    // Move the cursor home, because a smaller terminal keeps the lines above the cursor.
    await new Promise((done) => terminal.write(`${text}\x1b[?25l\x1b[H`, done));
    let last = rows - 1;
    while (last > 0 && !terminal.buffer.active.getLine(last).translateToString(true).trim()) last -= 1;
    terminal.resize(columns, last + 1);
    await new Promise((done) => setTimeout(done, 300));
  },
  { columns: Number(columns), text },
);
await page.locator("#frame").screenshot({ path: picture });
await browser.close();

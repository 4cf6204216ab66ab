"use strict";
// The page for networks that take arrays: rows of text or JSON are sent to the server, and their predictions listed.
(() => {
  const $ = (id) => document.getElementById(id);
  const model = JSON.parse($("model").textContent);
  const { input, most, threshold } = model;
  const names = model.classes ?? model.labels ?? model.numbers;
  const kind = model.classes ? "class" : model.labels ? "labels" : "numbers";
  const key = model.features === "pixels" ? "pixels" : "inputs";
  const size = input.reduce((product, length) => product * length, 1);

  const PATIENCE = 15000; // ms until a request times out
  const TRIES = 20; // attempts while the server is busy
  const MOST_ROWS = 500; // of the table; the CSV file has all
  const MOST_VALUES = 100_000; // of a request: its JSON must be shorter than the server's 4 MiB
  const MOST_BYTES = 64 << 20; // of a file

  // ---- from text to samples -------------------------------------------------------------------

  /** An error in what was given, for people. */
  class Wrong extends Error {}

  const isNumber = (text) => text.trim() !== "" && Number.isFinite(Number(text));

  /** Returns the samples in a text, each as a list of numbers, and whether its first line was left out as a header. */
  function samplesOf(text) {
    const trimmed = text.trim();
    if (trimmed === "") throw new Wrong("There are no rows yet.");
    return /^[[{]/.test(trimmed) ? { samples: fromJson(trimmed) } : fromLines(text);
  }

  function fromJson(text) {
    let value;
    try {
      value = JSON.parse(text);
    } catch (error) {
      throw new Wrong(`This begins like JSON and is not: ${error.message}`);
    }
    if (!Array.isArray(value)) value = value[key];
    if (!Array.isArray(value)) throw new Wrong(`JSON is a list of samples, or {"${key}": [...]}.`);
    // A single sample is as deep as the network's input, or flat; a list of samples is deeper.
    let depth = 0;
    for (let part = value; Array.isArray(part); part = part[0]) depth += 1;
    const list = depth === 1 || (depth === input.length && !value.every((part) => [part].flat(Infinity).length === size)) ? [value] : value;
    return list.map((sample, i) => {
      const numbers = [sample].flat(Infinity);
      numbers.forEach((number) => {
        if (typeof number !== "number") throw new Wrong(`Sample ${i + 1}: ${JSON.stringify(number)} is not a number.`);
      });
      if (numbers.length !== size) throw new Wrong(counted(`Sample ${i + 1}`, numbers.length));
      return numbers;
    });
  }

  function fromLines(text) {
    const lines = text.split(/\r\n|\r|\n/).map((line, i) => ({ line, place: i + 1 })).filter(({ line }) => line.trim() !== "");
    const cellsOf = (line) => {
      const mark = [";", "\t", ","].find((mark) => line.includes(mark));
      return mark ? line.split(mark).map((cell) => cell.trim()) : line.trim().split(/\s+/);
    };
    // A first line without any number names the columns.
    const header = lines.length > 1 && !cellsOf(lines[0].line).some(isNumber);
    if (header) lines.shift();
    const samples = lines.map(({ line, place }) => {
      const cells = cellsOf(line);
      const bad = cells.findIndex((cell) => !isNumber(cell));
      if (bad >= 0) {
        const found = cells[bad] === "" ? "is empty" : `is ${JSON.stringify(cells[bad].slice(0, 40))}`;
        throw new Wrong(`Line ${place}, column ${bad + 1} ${found}: a number is needed.`);
      }
      if (cells.length !== size) throw new Wrong(counted(`Line ${place}`, cells.length));
      return cells.map(Number);
    });
    return { samples, header };
  }

  const numbered = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
  const counted = (place, found) => `${place} has ${numbered(found, "number")}, and a sample has ${size}.`;

  /** Returns numbers in the network's input shape. */
  function shaped(numbers, shape = input) {
    if (shape.length === 1) return numbers;
    const [first, ...rest] = shape;
    const each = numbers.length / first;
    return Array.from({ length: first }, (_, i) => shaped(numbers.slice(i * each, (i + 1) * each), rest));
  }

  // ---- requests to the server ------------------------------------------------------------------

  let run = 0; // the number of the newest prediction: older ones are dropped

  async function predict() {
    const own = ++run;
    clear(false);
    try {
      const { samples, header } = samplesOf($("rows").value);
      const predictions = [];
      const each = Math.max(1, Math.min(most, Math.floor(MOST_VALUES / size)));
      for (let start = 0; start < samples.length; start += each) {
        if (samples.length > each) $("summary").textContent = `${start.toLocaleString("en")} of ${samples.length.toLocaleString("en")} …`;
        const part = samples.slice(start, start + each);
        const found = await patiently(part, start, own);
        if (own !== run) return;
        predictions.push(...found);
      }
      show(predictions, header);
    } catch (error) {
      if (own !== run) return;
      if (!(error instanceof Wrong)) throw error;
      fail(error.message, error.retry);
    }
  }

  /** Requests predictions, again while the server is busy. */
  async function patiently(part, start, own) {
    for (let tries = 1; ; tries++) {
      const { predictions, reason, wait, retry, index } = await request(part);
      if (predictions) return predictions;
      if (own !== run) return [];
      if (!wait || tries === TRIES) {
        const place = index === undefined ? "" : `Sample ${start + index + 1}: `;
        throw Object.assign(new Wrong(place + reason), { retry });
      }
      problem(`${reason} (trying again …)`);
      await new Promise((done) => setTimeout(done, wait));
      problem("");
    }
  }

  /** Requests predictions: {predictions}, or {reason, wait: ms until the next attempt, retry, index}. */
  async function request(samples) {
    let reply;
    let text;
    try {
      reply = await fetch("predict", {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ [key]: samples.map((numbers) => shaped(numbers)) }),
        signal: AbortSignal.timeout(PATIENCE),
      });
      text = await reply.text();
    } catch (error) {
      const late = `There was no answer from the server within ${PATIENCE / 1000} seconds.`;
      const gone = "The server does not answer. Is it still running?";
      return { reason: error.name === "TimeoutError" ? late : gone, retry: true };
    }
    let body = null;
    try {
      body = JSON.parse(text);
    } catch {
      // Not a response of the server itself, but of a proxy.
    }
    if (reply.ok && body?.predictions) return body;
    const { status } = reply;
    const reason = body?.error?.message ?? `The server gave no answer (HTTP ${status}).`;
    const busy = status === 429 || status === 503;
    const seconds = Number(reply.headers.get("Retry-After")) || 1;
    const wait = busy ? 1000 * Math.min(seconds, 10) : 0;
    return { reason, wait, retry: status >= 500 || busy, index: body?.error?.index };
  }

  // ---- the predictions -------------------------------------------------------------------------

  const percent = (share) => `${(100 * share).toFixed(1)}\u00a0%`;
  // f32 has at most 9 significant digits, of which 6 are shown.
  const digits = (value) => {
    const size = Math.abs(value);
    return size !== 0 && (size < 1e-4 || size >= 1e9) ? value.toExponential(4) : String(Number(value.toPrecision(6)));
  };

  /** The columns of the table and of the CSV file: a name, and what they show of a prediction. */
  const COLUMNS = {
    class: [
      ["class", ({ label }) => label, ({ label }) => label],
      ["probability", ({ class: best, probabilities }) => percent(probabilities[best]), ({ class: best, probabilities }) => probabilities[best]],
      ...(names.length > 2 ? [["next", second, null]] : []),
      ...names.map((name, i) => [`probability of ${name}`, null, ({ probabilities }) => probabilities[i]]),
    ],
    labels: [
      ["labels", ({ labels }) => labels.join(", ") || "none", ({ labels }) => labels.join("; ")],
      ...names.map((name) => [name, ({ probabilities }) => percent(probabilities[name]), ({ probabilities }) => probabilities[name], ({ probabilities }) => probabilities[name] > threshold]),
    ],
    numbers: names.map((name) => [name, ({ values }) => digits(values[name]), ({ values }) => values[name]]),
  }[kind];
  const SHOWN = COLUMNS.filter(([, text]) => text);

  /** Returns the second most likely class with its probability. */
  function second({ class: best, probabilities }) {
    const next = probabilities.reduce((next, p, i) => (i !== best && (next < 0 || p > probabilities[next]) ? i : next), -1);
    return `${names[next]} (${percent(probabilities[next])})`;
  }

  let predicted = [];

  function row(place, cells, cell) {
    const row = document.createElement("tr");
    cells.forEach(([text, strong], i) => {
      const part = document.createElement(i === 0 || cell === "th" ? "th" : "td");
      part.scope = cell === "th" ? "col" : "row";
      if (part.tagName === "TD") part.removeAttribute("scope");
      if (strong) part.className = "first";
      if (cell !== "th" && /^-?[\d.]+(e[+-]?\d+)?(\u00a0%)?$/.test(text)) part.classList.add("number");
      part.textContent = text;
      row.append(part);
    });
    place.append(row);
  }

  function show(predictions, header) {
    predicted = predictions;
    const [head, body] = [$("table").tHead, $("table").tBodies[0]];
    head.replaceChildren();
    body.replaceChildren();
    row(head, [["sample"], ...SHOWN.map(([name]) => [name])], "th");
    predictions.slice(0, MOST_ROWS).forEach((prediction, i) => {
      row(body, [[String(i + 1)], ...SHOWN.map(([, text, , strong]) => [text(prediction), strong?.(prediction)])], "td");
    });
    const texts = [numbered(predictions.length, "sample")];
    if (predictions.length > MOST_ROWS) texts.push(`the first ${MOST_ROWS} are listed`);
    if (header) texts.push("the first line was taken as column names");
    if (kind === "labels") texts.push(`a label is predicted above ${100 * threshold}\u00a0%`);
    $("summary").textContent = texts.join(" · ");
    $("scroll").hidden = false;
    // What scrolls must be reachable by keyboard.
    const wide = $("scroll").scrollWidth > $("scroll").clientWidth || $("scroll").scrollHeight > $("scroll").clientHeight;
    if (wide) $("scroll").tabIndex = 0;
    else $("scroll").removeAttribute("tabindex");
    $("save").hidden = false;
    document.body.dataset.answer = String(predictions.length);
    $("status").textContent = `${numbered(predictions.length, "prediction")}. First: ${SHOWN[0][0]} ${SHOWN[0][1](predictions[0])}`;
  }

  function save() {
    const quoted = (value) => (/[",\n\r]/.test(String(value)) ? `"${String(value).replaceAll('"', '""')}"` : String(value));
    const columns = COLUMNS.filter(([, , value]) => value);
    const lines = [["sample", ...columns.map(([name]) => name)], ...predicted.map((one, i) => [i + 1, ...columns.map(([, , value]) => value(one))])];
    const text = lines.map((cells) => cells.map(quoted).join(",")).join("\n") + "\n";
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
    link.download = "predictions.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  }

  // ---- the form ----------------------------------------------------------------------------------

  /** Removes the predictions, and with `all` the rows, too. */
  function clear(all) {
    if (all) {
      run += 1;
      $("rows").value = "";
      $("rows").focus();
    }
    predicted = [];
    problem("");
    $("scroll").hidden = $("save").hidden = true;
    $("summary").textContent = "none yet";
    delete document.body.dataset.answer;
    changed();
  }

  function changed() {
    const empty = $("rows").value.trim() === "";
    $("predict").disabled = $("clear").disabled = empty;
  }

  function fail(message, retry = false) {
    $("summary").textContent = "none";
    problem(message, retry);
  }

  function problem(message, retry = false) {
    if ($("reason").textContent !== message) $("reason").textContent = message;
    $("problem").hidden = !message;
    $("retry").hidden = !retry;
  }

  async function take(file) {
    if (!file) return;
    clear(false);
    if (file.size > MOST_BYTES) return fail(`A file may have at most ${MOST_BYTES >> 20} MiB. Programs can use POST /predict.`);
    const text = await file.text();
    if (/[\0\uFFFD]/.test(text)) return fail(`${file.name} is not text: choose a CSV or JSON file. seqfit predict reads .npz and .npy files.`);
    $("rows").value = text;
    changed();
    predict();
  }

  $("rows").addEventListener("input", changed);
  $("rows").addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      predict();
    }
  });
  $("predict").addEventListener("click", predict);
  $("retry").addEventListener("click", predict);
  $("clear").addEventListener("click", () => clear(true));
  $("save").addEventListener("click", save);
  $("choose").addEventListener("click", () => $("file").click());
  $("file").addEventListener("change", (event) => {
    take(event.target.files[0]);
    event.target.value = ""; // the same file may be chosen again
  });
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    const file = event.dataTransfer?.files[0];
    if (!file) return;
    event.preventDefault();
    take(file);
  });

  // ---- the texts for this network -------------------------------------------------------------------

  const what = { class: "Predict classes", labels: "Predict labels", numbers: names.length <= 3 ? `Predict ${names.join(", ")}` : `Predict ${names.length} numbers` };
  $("title").textContent = what[kind];
  document.title = `${what[kind]} · seqfit`;
  const pixels = key === "pixels" ? "whole numbers from 0 to 255" : "numbers";
  const shape = input.length > 1 ? ` of shape ${input.join(" × ")}` : "";
  $("lead").textContent =
    `A sample is ${size.toLocaleString("en")} ${pixels}${shape}, scaled as the training data were. One per line, separated by commas, tabs or spaces, or as JSON.`;
  const zeros = Array.from({ length: Math.min(size, 8) }, () => "0").join(", ") + (size > 8 ? ", …" : "");
  $("rows").placeholder = `${zeros}\n${zeros}`;
  const facts = [model.name, `${model.parameters.toLocaleString("en")} parameters`];
  const tested = [];
  if (model.test_accuracy !== undefined) tested.push(`${(100 * model.test_accuracy).toFixed(2)}\u00a0% test accuracy`);
  if (kind === "numbers") {
    const metrics = Object.entries(model.test_metrics ?? {});
    tested.push(...metrics.map(([name, value]) => `${name === "r2" ? "R²" : name.toUpperCase()}\u00a0${value.toPrecision(3)}`));
  }
  if (tested.length > 0) facts.push(`${tested.join(", ")} on ${model.dataset}`);
  $("facts").textContent = facts.join(" · ");
  const few = size <= 16;
  const example = JSON.stringify({ [key]: [shaped(Array(size).fill(0))] });
  const body = few ? `'${example}'` : "@samples.json";
  $("curl").textContent =
    `${few ? "" : `# samples.json: {"${key}": [sample, …]}\n`}curl -d ${body} -H 'Content-Type: application/json' ${new URL("predict", location.href).href}`;
  changed();
})();

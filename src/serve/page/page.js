"use strict";
// The page: a list of strokes and pictures is the only state; everything visible is drawn from it.
(() => {
  const $ = (id) => document.getElementById(id);
  const model = JSON.parse($("model").textContent);
  const [height, width] = model.input.slice(-2);
  const inColor = model.input.length === 3 && model.input[0] === 3;
  // What it predicts: classes with a probability each, labels with a probability each, or numbers.
  const classes = model.classes ?? model.labels ?? model.numbers;
  const { threshold } = model;

  // The side of the drawing area in units of strokes, independent of the screen.
  const SIDE = 280;
  const PEN = 23; // like the stroke width of MNIST digits relative to their box
  const MARGIN = 28; // a border by which the server recognizes the background
  const LONGEST = 1024; // longest side of a picture that is sent: the server would shrink it anyway
  const QUIET = 900; // ms without a change until the prediction is announced to screen readers
  const MOST_BARS = 12; // until all are requested
  const PATIENCE = 15000; // ms until a request times out
  const TRIES = 20; // attempts while the server is busy
  const MOST_BYTES = 3 << 20; // of a file that is sent unchanged; the server accepts 4 MiB

  // How the server prepares pictures: raw, digit or resize. Drawing makes sense only for digit.
  const { preparation } = model;
  const draws = preparation === "digit";

  const canvas = $("canvas");
  const pen = canvas.getContext("2d");
  const items = []; // {points: [[x, y], …]}, {picture: canvas, file} or {cleared: true}; `with`: undone with the item before
  let stroke = null;
  let cursor = null; // of the keyboard: {x, y, down}

  // ---- drawing ------------------------------------------------------------------------------

  /** Returns the visible items: those from the last one on that covers all before it. */
  function visible() {
    const last = items.findLastIndex((item) => !item.points);
    return items.slice(last < 0 ? 0 : items[last].cleared ? last + 1 : last);
  }

  function trace(context, points) {
    const [first] = points;
    context.beginPath();
    context.moveTo(first[0], first[1]);
    for (let i = 1; i < points.length - 1; i++) {
      const [x, y] = points[i];
      const [nextX, nextY] = points[i + 1];
      context.quadraticCurveTo(x, y, (x + nextX) / 2, (y + nextY) / 2);
    }
    const end = points[points.length - 1];
    // A single point is a dot.
    context.lineTo(end[0] + (points.length === 1 ? 0.01 : 0), end[1]);
    context.stroke();
  }

  function strokes(context, shown, ink) {
    context.lineWidth = PEN;
    context.lineCap = context.lineJoin = "round";
    context.strokeStyle = ink;
    for (const { points } of shown) if (points) trace(context, points);
  }

  function draw() {
    const shown = visible();
    const side = Math.max(1, Math.round(canvas.clientWidth * Math.min(devicePixelRatio, 3)));
    if (canvas.width !== side) canvas.width = canvas.height = side;
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, side, side);
    const picture = shown[0]?.picture;
    if (picture) {
      const scale = side / Math.max(picture.width, picture.height);
      const [w, h] = [picture.width * scale, picture.height * scale];
      pen.imageSmoothingEnabled = picture.width > 64; // small pictures show every pixel
      pen.drawImage(picture, (side - w) / 2, (side - h) / 2, w, h);
    }
    pen.scale(side / SIDE, side / SIDE);
    const style = getComputedStyle(canvas);
    strokes(pen, shown, style.getPropertyValue("--ink"));
    if (cursor) {
      pen.beginPath();
      pen.arc(cursor.x, cursor.y, PEN / 2 + 2, 0, 2 * Math.PI);
      pen.lineWidth = 2.5;
      pen.strokeStyle = style.getPropertyValue("--accent");
      pen.stroke();
    }
    $("empty").hidden = shown.length > 0;
    $("undo").disabled = items.length === 0;
    $("clear").disabled = shown.length === 0;
  }

  /** Returns the visible drawing or picture as a PNG, or null if there is none. */
  function snapshot() {
    const shown = visible();
    if (shown.length === 0) return null;
    const { picture, file } = shown[0];
    if (file) return file;
    if (picture) return new Promise((done) => picture.toBlob(done, "image/png"));
    const sheet = document.createElement("canvas");
    sheet.width = sheet.height = SIDE + 2 * MARGIN;
    const context = sheet.getContext("2d");
    context.fillStyle = "black";
    context.fillRect(0, 0, sheet.width, sheet.height);
    context.translate(MARGIN, MARGIN);
    strokes(context, shown, "white");
    return new Promise((done) => sheet.toBlob(done, "image/png"));
  }

  /** Returns the query that scales a picture of the wrong size if pictures are otherwise used unchanged. */
  function scaled() {
    const picture = visible()[0]?.picture;
    const fits = picture?.width === width && picture?.height === height;
    return preparation === "raw" && !fits ? "&prepare=resize" : "";
  }

  function add(item) {
    items.push(item);
    changed();
  }

  function clear() {
    stroke = null;
    if (visible().length > 0) add({ cleared: true });
    announce("Cleared");
  }

  function undo() {
    stroke = null;
    const item = items.pop();
    if (item?.with) items.pop();
    changed();
  }

  function begin(point) {
    const onPicture = Boolean(visible()[0]?.picture);
    if (onPicture) items.push({ cleared: true });
    stroke = { points: [point], with: onPicture };
    add(stroke);
  }

  // ---- requests to the server: one at a time, and the latest state is always sent ----------

  let asking = false;
  let again = false;
  let spoken = 0;

  function changed() {
    draw();
    again = true;
    if (!asking) ask();
  }

  async function ask() {
    asking = true;
    let tries = 0;
    while (again) {
      await new Promise(requestAnimationFrame);
      again = false;
      const blob = await snapshot();
      if (!blob) {
        idle();
        continue;
      }
      const { prediction, reason, wait, retry } = await request(blob);
      if (visible().length === 0) continue;
      if (prediction) {
        tries = 0;
        show(prediction);
      } else if (wait && ++tries < TRIES) {
        fail(`${reason} (trying again …)`);
        await new Promise((done) => setTimeout(done, wait));
        again = true;
      } else {
        fail(reason, retry);
      }
    }
    asking = false;
  }

  /** Requests a prediction: {prediction}, or {reason, wait: ms until the next attempt, retry}. */
  async function request(blob) {
    let reply;
    let text;
    try {
      reply = await fetch(`predict?prepared=1${scaled()}`, {
        method: "POST",
        headers: { "Content-Type": blob.type },
        body: blob,
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
    if (reply.ok && body) return { prediction: body };
    const { status } = reply;
    const reason = body?.error?.message ?? `${OTHERS[status] ?? "The server gave no answer"} (HTTP ${status}).`;
    const busy = status === 429 || status === 503;
    const seconds = Number(reply.headers.get("Retry-After")) || 1;
    return { reason, wait: busy ? 1000 * Math.min(seconds, 10) : 0, retry: status >= 500 || busy };
  }

  /** Reasons for responses that are not from the server itself. */
  const OTHERS = {
    413: "The picture is too large for the server",
    415: "The server does not take this kind of picture",
    429: "Too many requests to the server",
    502: "The server cannot be reached",
    503: "The server is busy",
    504: "The server takes too long",
  };

  // ---- the prediction ------------------------------------------------------------------------

  const rows = [];

  /** Adds rows until there are `count`. */
  function grow(count) {
    while (rows.length < count) {
      const row = document.createElement("li");
      const [name, track, share] = ["name", "track", "share"].map((kind) => {
        const part = document.createElement("span");
        part.className = kind;
        row.append(part);
        return part;
      });
      const fill = document.createElement("div");
      fill.className = "fill";
      track.append(fill);
      name.textContent = classes[rows.length];
      share.textContent = "–";
      $("bars").append(row);
      rows.push({ row, name, fill, share });
    }
  }
  grow(Math.min(classes.length, MOST_BARS));

  // A no-break space keeps the percent sign on the line of its number.
  const percent = (share) => `${(100 * share).toFixed(1)}\u00a0%`;
  let answer = null;

  function show(prediction) {
    answer = prediction;
    const { prepared } = prediction;
    const { label, sure, spoken, values, texts, isFirst } = told(prediction);
    problem("");
    // Few classes keep their order; many are sorted by probability.
    let order = classes.map((_, i) => i);
    if (classes.length > MOST_BARS && !model.numbers) order.sort((a, b) => values[b] - values[a]);
    rows.forEach(({ row, name, fill, share }, i) => {
      row.classList.toggle("first", isFirst(order[i]));
      name.textContent = classes[order[i]];
      if (!model.numbers) fill.style.transform = `translateX(${100 * (values[order[i]] - 1)}%)`;
      share.textContent = texts[order[i]];
    });
    $("label").textContent = label;
    // The font size is chosen so that the longest word fits.
    const letters = Math.max(...label.split(" ").map((word) => word.length));
    $("label").style.setProperty("--letters", letters);
    $("sure").textContent = sure;
    paint(prepared);
    $("seen").setAttribute("aria-label", `The image as the network sees it, ${width} by ${height} pixels`);
    document.body.dataset.answer = label;
    say(spoken);
  }

  /** Returns what the page says about a prediction: a headline, and a value and a text for each row. */
  function told({ class: best, label, labels, probabilities, values: numbers }) {
    if (model.numbers) {
      const values = classes.map((name) => numbers[name]);
      const texts = values.map((value) => String(Number(value.toPrecision(6))));
      const [headline, sure] = classes.length === 1 ? [texts[0], classes[0]] : ["–", `${classes.length} numbers`];
      return { label: headline, sure, spoken: classes.map((name, i) => `${name} ${texts[i]}`).join(", "), values, texts, isFirst: () => false };
    }
    if (model.labels) {
      const values = classes.map((name) => probabilities[name]);
      const headline = labels.join(", ") || "none";
      const sure = `labels above ${100 * threshold}\u00a0%`;
      return { label: headline, sure, spoken: headline, values, texts: values.map(percent), isFirst: (i) => values[i] > threshold };
    }
    const spoken = `${label}, ${Math.round(100 * probabilities[best])} percent sure`;
    const sure = `${percent(probabilities[best])} sure`;
    return { label, sure, spoken, values: probabilities, texts: probabilities.map(percent), isFirst: (i) => i === best };
  }

  function more() {
    const all = $("more").getAttribute("aria-expanded") !== "true";
    grow(classes.length);
    rows.forEach(({ row }, i) => (row.hidden = !all && i >= MOST_BARS));
    $("more").setAttribute("aria-expanded", all);
    name();
    if (answer) show(answer);
  }

  /** Updates the heading and the button that says how many classes are shown. */
  function name() {
    const all = $("more").getAttribute("aria-expanded") === "true";
    $("more").hidden = classes.length <= MOST_BARS;
    const what = model.classes ? "classes" : model.labels ? "labels" : "numbers";
    const top = model.numbers ? "first" : "top";
    $("more").textContent = all ? `Show the ${top} ${MOST_BARS}` : `Show all ${classes.length} ${what}`;
    const shown = all ? `${classes.length} ${what}` : `${top} ${MOST_BARS} of ${classes.length} ${what}`;
    const title = model.numbers ? "Values" : "Probabilities";
    $("bars-title").textContent = classes.length > MOST_BARS ? `${title}: ${shown}` : title;
  }

  function idle(why = draws ? "nothing drawn yet" : "no picture yet") {
    answer = null;
    problem("");
    for (const { row, fill, share } of rows) {
      row.classList.remove("first");
      fill.style.transform = "";
      share.textContent = "–";
    }
    $("label").textContent = "–";
    $("label").style.removeProperty("--letters");
    $("sure").textContent = why;
    paint(null);
    $("seen").setAttribute("aria-label", "The image as the network sees it: empty");
    delete document.body.dataset.answer;
    clearTimeout(spoken);
  }

  function paint(image) {
    const seen = $("seen");
    if (seen.width !== width || seen.height !== height) [seen.width, seen.height] = [width, height];
    const context = seen.getContext("2d");
    const data = context.createImageData(width, height);
    // A gray image has rows of pixels, one in color such rows for each of red, green and blue.
    const planes = model.input.length === 3 ? image : [image];
    for (let i = 0; i < width * height; i++) {
      const value = (plane) => (image ? plane[Math.floor(i / width)][i % width] : 0);
      const [red, green, blue] = inColor && image ? planes.map(value) : Array(3).fill(value(planes?.[0]));
      data.data.set([red, green, blue, 255], 4 * i);
    }
    context.putImageData(data, 0, 0);
  }

  function fail(message, retry = false) {
    idle("no prediction");
    problem(message, retry);
  }

  function problem(message, retry = false) {
    if ($("reason").textContent !== message) $("reason").textContent = message;
    $("problem").hidden = !message;
    $("retry").hidden = !retry;
  }

  /** Announces a text to screen readers once the drawing pauses, not at each stroke. */
  function say(text) {
    clearTimeout(spoken);
    spoken = setTimeout(() => announce(text), QUIET);
  }

  function announce(text) {
    $("status").textContent = text;
  }

  // ---- mouse, pen and finger ------------------------------------------------------------------------

  const clamp = (value) => Math.min(SIDE, Math.max(0, value));

  function at(event) {
    const box = canvas.getBoundingClientRect();
    const place = (position, start, length) => clamp(((position - start) / length) * SIDE);
    return [place(event.clientX, box.left, box.width), place(event.clientY, box.top, box.height)];
  }

  let pointer = null;
  canvas.addEventListener("pointerdown", (event) => {
    if (!draws || pointer !== null || event.button !== 0) return;
    pointer = event.pointerId;
    canvas.setPointerCapture(pointer);
    cursor = null;
    begin(at(event));
  });
  canvas.addEventListener("pointermove", (event) => {
    if (event.pointerId !== pointer || !stroke) return;
    const events = event.getCoalescedEvents?.() ?? [];
    for (const part of events.length > 0 ? events : [event]) stroke.points.push(at(part));
    changed();
  });
  for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) {
    canvas.addEventListener(end, (event) => {
      if (event.pointerId === pointer) pointer = stroke = null;
    });
  }

  // ---- keyboard ---------------------------------------------------------------------------------------

  const STEP = 8;
  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

  canvas.addEventListener("keydown", (event) => {
    const arrow = ARROWS[event.key];
    if (!draws || event.ctrlKey || event.metaKey || event.altKey || (!arrow && event.key !== " ")) return;
    event.preventDefault();
    cursor ??= { x: SIDE / 2, y: SIDE / 2, down: false };
    if (arrow) {
      cursor.x = clamp(cursor.x + STEP * arrow[0]);
      cursor.y = clamp(cursor.y + STEP * arrow[1]);
      if (cursor.down && stroke) {
        stroke.points.push([cursor.x, cursor.y]);
        return changed();
      }
    } else {
      cursor.down = !cursor.down;
      if (cursor.down) begin([cursor.x, cursor.y]);
      else stroke = null;
      announce(cursor.down ? "Pen down" : "Pen up");
    }
    draw();
  });
  canvas.addEventListener("focus", () => {
    $("keys")?.classList.toggle("shown", canvas.matches(":focus-visible"));
  });
  canvas.addEventListener("blur", () => {
    $("keys")?.classList.remove("shown");
    if (pointer === null) stroke = null;
    cursor = null;
    draw();
  });
  document.addEventListener("keydown", (event) => {
    const key = event.key.toLowerCase();
    if ((event.ctrlKey || event.metaKey) && !event.shiftKey && key === "z") {
      event.preventDefault();
      cursor = null;
      undo();
    } else if (["escape", "delete", "backspace"].includes(key)) {
      event.preventDefault();
      cursor = null;
      clear();
    }
  });
  $("undo").addEventListener("click", undo);
  $("clear").addEventListener("click", clear);
  $("retry").addEventListener("click", changed);
  $("more").addEventListener("click", more);

  // ---- pictures ---------------------------------------------------------------------------------------

  async function take(file) {
    if (!file) return;
    try {
      const bitmap = await createImageBitmap(file);
      const scale = Math.min(1, LONGEST / Math.max(bitmap.width, bitmap.height));
      const picture = document.createElement("canvas");
      picture.width = Math.max(1, Math.round(bitmap.width * scale));
      picture.height = Math.max(1, Math.round(bitmap.height * scale));
      const context = picture.getContext("2d");
      context.imageSmoothingQuality = "high";
      context.drawImage(bitmap, 0, 0, picture.width, picture.height);
      bitmap.close();
      stroke = null;
      add({ picture, file: scale === 1 ? await asItIs(file) : null });
    } catch {
      fail("The browser cannot read this file as a picture. Choose a PNG or JPEG file.");
    }
  }

  /** Returns the unchanged file with its type if the server can read it: the browser may alter pixels. */
  async function asItIs(file) {
    const [first, second] = new Uint8Array(await file.slice(0, 2).arrayBuffer());
    const type = first === 0x89 && second === 0x50 ? "image/png" : first === 0xff && second === 0xd8 ? "image/jpeg" : "";
    return type && file.size <= MOST_BYTES ? new Blob([file], { type }) : null;
  }

  const pictureIn = (list) => Array.from(list ?? []).find((file) => file.type.startsWith("image/"));
  $("choose").addEventListener("click", () => $("file").click());
  if (!draws) canvas.addEventListener("click", () => $("file").click());
  $("file").addEventListener("change", (event) => {
    take(event.target.files[0]);
    event.target.value = ""; // the same file may be chosen again
  });
  document.addEventListener("paste", (event) => {
    const file = pictureIn(event.clipboardData?.files);
    if (file) {
      event.preventDefault();
      take(file);
    }
  });
  let over = 0;
  document.addEventListener("dragenter", () => $("pad").classList.toggle("over", ++over > 0));
  document.addEventListener("dragleave", () => $("pad").classList.toggle("over", --over > 0));
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    over = 0;
    $("pad").classList.remove("over");
    take(pictureIn(event.dataTransfer?.files) ?? event.dataTransfer?.files[0]);
  });

  // ---- the texts for this network -----------------------------------------------------------------------

  const digits = classes.every((name) => /^\d$/.test(name));
  const size = `${width} × ${height}`;
  const [colors, made] = inColor ? ["color", ""] : ["gray", "converted to gray and "];
  const WANTED = {
    raw: `Pictures of ${size} pixels are used unchanged, in ${colors}; others are scaled to that size.`,
    digit: "Or choose, paste or drop a picture.",
    resize: `Any picture: it is ${made}scaled to ${size} pixels.`,
    crop: `Any picture: its middle is ${made}scaled to ${size} pixels.`,
    letterbox: `Any picture: it is ${made}scaled in its proportions to fit into ${size} pixels.`,
  };
  $("lead").textContent = WANTED[preparation];
  if (draws && model.classes && !digits) $("title").textContent = "Draw a character";
  if (!draws) {
    $("title").textContent = model.classes ? "Classify a picture" : model.labels ? "Label a picture" : "Predict from a picture";
    $("empty").textContent = "choose, paste or drop a picture";
    $("choose-label").textContent = "Choose a picture";
    document.body.classList.add("pictures");
    canvas.removeAttribute("tabindex");
    canvas.removeAttribute("aria-describedby");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", "The picture");
    $("keys").remove();
  }
  if (model.numbers) document.body.classList.add("numbers");
  name();
  document.title = `${$("title").textContent} · seqfit`;
  const facts = [model.name, `${model.parameters.toLocaleString("en")} parameters`];
  if (model.test_accuracy !== undefined) {
    facts.push(`${(100 * model.test_accuracy).toFixed(2)}\u00a0% test accuracy on ${model.dataset}`);
  }
  $("facts").textContent = facts.join(" · ");
  $("seen-size").textContent = `as the network sees it, ${size}`;
  const address = new URL("predict", location.href);
  $("curl").textContent =
    `curl --data-binary @picture.png -H 'Content-Type: image/png' ${address.href}`;
  new ResizeObserver(draw).observe(canvas);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);
  idle();
  draw();
})();

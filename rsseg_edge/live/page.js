"use strict";
const find = id => document.getElementById(id);
const hidden = new Set();
let failed = false, known = "";

function svg(kind, attributes) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", kind);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

function watch() {
  const query = new URLSearchParams([...hidden].map(name => ["hide", name]));
  query.append("t", Date.now());
  find("video").src = "video?" + query;
}

function rgb(color) { return `rgb(${color.join(",")})`; }

function legend(classes) {
  const names = JSON.stringify(classes.map(c => [c.name, c.color]));
  if (names !== known) {
    known = names;
    find("legend").replaceChildren(...classes.map(c => {
      const row = document.createElement("li"), label = document.createElement("label");
      const box = Object.assign(document.createElement("input"), {type: "checkbox", checked: !hidden.has(c.name)});
      box.dataset.name = c.name;
      box.addEventListener("change", () => { box.checked ? hidden.delete(c.name) : hidden.add(c.name); watch(); });
      const swatch = svg("svg", {viewBox: "0 0 10 10"});
      swatch.append(svg("rect", {width: 10, height: 10, rx: 2, fill: rgb(c.color)}));
      const name = document.createElement("span");
      name.textContent = c.name;
      label.append(box, swatch, name, document.createElement("output"));
      row.append(label);
      return row;
    }));
  }
  find("legend").querySelectorAll("output").forEach((out, i) => { out.textContent = (100 * classes[i].share).toFixed(1) + " %"; });
}

function chart(history, classes) {
  const plot = find("chart");
  plot.replaceChildren();
  history = history.filter(([, shares]) => classes.every(c => c.name in shares));  // since the classes changed last
  if (history.length < 2) return;
  const begin = history[0][0], span = history[history.length - 1][0] - begin || 1;
  let below = history.map(() => 0);
  for (const c of classes) {
    const above = history.map(([, shares], i) => below[i] + (shares[c.name] || 0));
    const x = i => 300 * (history[i][0] - begin) / span, y = v => 120 - 120 * v;
    const up = above.map((v, i) => `${x(i)},${y(v)}`), down = below.map((v, i) => `${x(i)},${y(v)}`).reverse();
    plot.append(svg("polygon", {points: [...up, ...down].join(" "), fill: rgb(c.color), "fill-opacity": .85}));
    below = above;
  }
}

function show(state) {
  const stream = state.stream, pill = find("state");
  pill.textContent = state.ended ? "ended" : stream ? stream.state : "running";
  pill.classList.toggle("bad", !!stream && stream.state !== "streaming");
  let numbers = `${state.frames} frames, ${state.rate.toFixed(1)} a second`;
  if (stream) {
    const dropped = Object.values(stream.dropped).reduce((a, b) => a + b, 0);
    numbers += stream.age === null ? "" : `, ${stream.age.toFixed(2)} s old`;
    numbers += `, ${dropped} dropped, ${stream.connections} connection${stream.connections === 1 ? "" : "s"}` + (stream.state === "lost" ? ` (${stream.why})` : "");
  }
  find("numbers").textContent = numbers;
  legend(state.classes);
  chart(state.history, state.classes);
  find("stages").replaceChildren(...Object.entries(state.stages).map(([name, times]) => {
    const row = document.createElement("tr");
    for (const text of [name, times.median_ms.toFixed(1), times.p99_ms.toFixed(1)]) row.insertCell().textContent = text;
    return row;
  }));
  find("ask").hidden = !state.kind;
  find("label").textContent = state.kind === "sentences" ? "Sentences, divided by semicolons" : "Classes by semicolons, their synonyms by commas";
}

async function poll() {
  try {
    const answer = await fetch("state", {signal: AbortSignal.timeout(4000)});
    if (!answer.ok) throw new Error(answer.status);
    show(await answer.json());
    if (failed) watch();
    failed = false;
  } catch { failed = true; }
  find("lost").hidden = !failed;
  if (failed) { find("state").textContent = "connection lost"; find("state").classList.add("bad"); }
  setTimeout(poll, failed ? 1000 : 500);
}

find("ask").addEventListener("submit", async event => {
  event.preventDefault();
  const answer = find("answer");
  answer.className = "";
  answer.textContent = "...";
  try {
    const reply = await (await fetch("ask", {method: "POST", headers: {"X-Requested-With": "rsseg"}, body: find("text").value})).json();
    answer.textContent = reply.error || reply.notes.join(" ") || "from the next frame on";
    answer.className = reply.error ? "bad" : "";
    if (!reply.error && hidden.size) { hidden.clear(); known = ""; watch(); }
  } catch { answer.textContent = "the run does not answer"; answer.className = "bad"; }
});
find("video").addEventListener("error", () => { if (!failed) setTimeout(watch, 1000); });
watch();
poll();

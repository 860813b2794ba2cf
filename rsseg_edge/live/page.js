"use strict";
const find = id => document.getElementById(id);
const hidden = new Set();
let failed = false, known = "", listed = "", stream = decodeURIComponent(location.hash.slice(1));

function svg(kind, attributes) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", kind);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

function watch() {
  const query = new URLSearchParams([...hidden].map(name => ["hide", name]));
  query.append("stream", stream);
  query.append("t", Date.now());
  find("video").src = "video?" + query;
}

function choose(name) {
  if (name === stream) return;
  stream = name;
  history.replaceState(null, "", "#" + encodeURIComponent(name));
  hidden.clear();
  known = listed = "";
  watch();
}

function streams(all) {
  const names = Object.keys(all), now = JSON.stringify(all) + stream;
  if (!names.includes(stream)) stream = names[0];
  if (now === listed) return;
  listed = now;
  find("streams").hidden = names.length < 2;
  find("streams").replaceChildren(...names.map(name => {
    const button = Object.assign(document.createElement("button"), {type: "button", title: all[name]});
    button.textContent = name;
    button.classList.toggle("bad", !["running", "streaming"].includes(all[name]));
    button.setAttribute("aria-pressed", name === stream);
    button.addEventListener("click", () => choose(name));
    return button;
  }));
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

function sum(counts) { return Object.values(counts).reduce((a, b) => a + b, 0); }

function connections(count) { return `${count} connection${count === 1 ? "" : "s"}`; }

function pushes(all) {
  find("pushes").replaceChildren(...all.map(push => {
    const row = document.createElement("li"), lost = push.state === "lost";
    row.textContent = `to ${push.name}: ${push.state}, ${push.shown} sent, ${sum(push.dropped)} dropped, ${connections(push.connections)}` + (lost ? ` (${push.why})` : "");
    row.classList.toggle("bad", lost);
    return row;
  }));
}

function show(state) {
  const source = state.stream, pill = find("state");
  pill.textContent = state.ended ? "ended" : source ? source.state : "running";
  pill.classList.toggle("bad", !!source && source.state !== "streaming");
  let numbers = `${state.frames} frames, ${state.rate.toFixed(1)} a second`;
  if (source) {
    numbers += source.age === null ? "" : `, ${source.age.toFixed(2)} s old`;
    numbers += `, ${sum(source.dropped)} dropped, ${connections(source.connections)}` + (source.state === "lost" ? ` (${source.why})` : "");
  }
  find("numbers").textContent = numbers;
  pushes(state.pushes);
  streams(state.streams);
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
    const answer = await fetch("state?" + new URLSearchParams({stream}), {signal: AbortSignal.timeout(4000)});
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
window.addEventListener("hashchange", () => choose(decodeURIComponent(location.hash.slice(1))));
watch();
poll();

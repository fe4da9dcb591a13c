// The page: asks, listens to the steps, draws them, replays them. No library, no build.
import { showMaze } from "/page/maze.js";

const at = (id) => document.getElementById(id);
const make = (name, kind, text) => {
  const made = document.createElement(name);
  if (kind) made.className = kind;
  if (text !== undefined) made.textContent = text;
  return made;
};

export function say(text, bad = false) {
  at("status").textContent = text;
  at("status").classList.toggle("bad", bad);
}

// The server -----------------------------------------------------------------------------------------------------

const token = () => sessionStorage.getItem("token");

export async function ask(path, body, signal) {
  const headers = { "Content-Type": "application/json" };
  if (token()) headers.Authorization = `Bearer ${token()}`;
  const answer = await fetch(path, { method: body ? "POST" : "GET", headers, body: body && JSON.stringify(body), signal });
  if (answer.ok) return answer;
  if (answer.status === 401) { at("door").hidden = false; at("token").focus(); }
  const told = await answer.json().catch(() => null);
  throw new Error(told?.error?.message ?? `The server answered ${answer.status}.`);
}

async function* events(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      if (!part.startsWith("data: ") || part === "data: [DONE]") continue;
      const told = JSON.parse(part.slice(6));
      if (told.error) throw new Error(told.error.message);
      yield told;
    }
  }
}

// The denoising --------------------------------------------------------------------------------------------------

let rows = new Map(); // stream -> the steps of that candidate
let shown = null, follow = true, opening = "", playing = 0, drawing = false;

const shade = (chance) => `s${chance >= 0.97 ? 4 : chance >= 0.9 ? 3 : chance >= 0.6 ? 2 : chance >= 0.3 ? 1 : 0}`;

function piece(text, kind, title) {
  const span = make("span", `token ${kind}`, text);
  if (title) span.title = title;
  return span;
}

function stateAt(steps, count) {
  const tokens = [];
  for (const step of steps.slice(0, count)) {
    tokens.length = step.from;
    step.committed.forEach((text, place) => tokens.push({ text, sure: step.certainty[place] }));
  }
  return { tokens, last: steps[count - 1] };
}

function drawStep() {
  drawing = false;
  const steps = rows.get(shown) ?? [];
  const slider = at("step"), count = Number(slider.value);
  at("step-text").textContent = `step ${count} of ${steps.length}`;
  slider.setAttribute("aria-valuetext", at("step-text").textContent);
  const { tokens, last } = stateAt(steps, count);
  const drawn = [];
  if (opening) drawn.push(piece(opening, "given", "given: it stands in the prompt"));
  for (const one of tokens) drawn.push(piece(one.text, shade(one.sure), `committed with ${one.sure.toFixed(2)}`));
  if (busy() || count < steps.length) {
    let place = tokens.length;
    (last?.positions ?? []).forEach((position, index) => {
      if (position > place) drawn.push(piece("▒▒".repeat(position - place), "masked", "masked"));
      const chance = last.confidence[index];
      drawn.push(piece(last.tokens[index], `open ${shade(chance)}`, `provisional, ${chance.toFixed(2)}`));
      place = position + 1;
    });
    drawn.push(piece("▒▒", "masked", "masked"));
  }
  const pane = at("tokens"), low = pane.scrollHeight - pane.scrollTop - pane.clientHeight < 60;
  pane.replaceChildren(...drawn);
  if (low) pane.scrollTop = pane.scrollHeight;
}

function later() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(drawStep);
}

function show(stream, byHand = false) {
  if (byHand) { follow = false; halt(); }
  shown = stream;
  for (const button of at("rows").children) button.setAttribute("aria-pressed", String(button.dataset.stream === String(stream)));
  const slider = at("step"), count = rows.get(stream)?.length ?? 0;
  slider.max = count; slider.value = count; slider.disabled = at("play").disabled = count === 0;
  later();
}

function take(row) {
  if (!rows.has(row.index)) {
    rows.set(row.index, []);
    const button = make("button", "", String(row.index));
    button.type = "button";
    button.dataset.stream = row.index;
    button.title = `candidate ${row.index}`;
    button.setAttribute("aria-label", `Show candidate ${row.index}`);
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => show(row.index, true));
    at("rows").append(button);
    if (follow) show(row.index);
  }
  const steps = rows.get(row.index);
  steps.push(row);
  if (row.index !== shown) return;
  const slider = at("step"), atEnd = Number(slider.value) === steps.length - 1;
  slider.max = steps.length;
  slider.disabled = at("play").disabled = false;
  if (atEnd && !playing) slider.value = steps.length;
  later();
}

function halt() {
  clearInterval(playing);
  playing = 0;
  at("play").textContent = "Replay";
}

function replay() {
  if (playing) return halt();
  const slider = at("step");
  if (slider.value === slider.max) slider.value = 0;
  at("play").textContent = "Pause";
  const pace = matchMedia("(prefers-reduced-motion: reduce)").matches ? 400 : Math.max(25, Math.min(120, 4000 / slider.max));
  playing = setInterval(() => {
    slider.value = Number(slider.value) + 1;
    if (slider.value === slider.max) halt();
    later();
  }, pace);
}

// Candidates and result -------------------------------------------------------------------------------------------

let number = 0;
function tried(one) {
  number += 1;
  const item = make("li"), details = make("details"), head = make("summary");
  head.append(make("span", `badge ${one.ok ? "good" : "bad"}`, one.ok ? "✓ passed" : "✗ failed"),
    make("span", "", `${one.passed ?? 0} of ${one.total ?? 0} tests`),
    make("span", "quiet", one.number !== undefined ? `candidate ${one.number}, ${one.origin}` : `line ${one.line}: ${one.origin}`));
  details.append(head);
  if (one.message) details.append(make("p", "quiet", one.message));
  details.append(make("pre", "", one.program));
  item.append(details);
  at("tried").prepend(item);
}

function result(told) {
  const verdict = at("verdict"), pane = at("program");
  const good = told.verified || told.state === "repaired" || told.state === "passing";
  const mark = told.state ? told.state : told.verified ? "verified" : "unverified";
  verdict.className = "";
  verdict.replaceChildren(make("span", `badge ${good ? "good" : "bad"}`, `${good ? "✓" : "✗"} ${mark}. `), told.explanation ?? "");
  pane.replaceChildren();
  if (told.diff) {
    for (const line of told.diff.split("\n")) {
      pane.append(make("span", line.startsWith("+") ? "added" : line.startsWith("-") ? "removed" : "", `${line}\n`));
    }
  } else pane.textContent = told.program ?? "";
  pane.hidden = at("copy").hidden = !pane.textContent;
  at("copy").dataset.text = told.program ?? "";
}

// Asking ----------------------------------------------------------------------------------------------------------

let control = null;
const busy = () => control !== null;

function clear() {
  halt();
  rows = new Map(); shown = null; follow = true; opening = ""; number = 0;
  at("rows").replaceChildren(); at("tried").replaceChildren();
  at("tokens").replaceChildren(make("span", "quiet", "Waiting for the first step …"));
  at("verdict").className = "quiet"; at("verdict").textContent = "Not yet.";
  at("program").hidden = at("copy").hidden = true;
  Object.assign(at("step"), { max: 0, value: 0, disabled: true });
  at("play").disabled = true;
}

function wanted() {
  const kind = at("kind").value, number = (id) => (at(id).value === "" ? undefined : Number(at(id).value));
  const body = { stream: true, seconds: number("seconds"), candidates: number("candidates"), seed: number("seed") };
  body[kind === "fix" ? "program" : "prompt"] = at("prompt").value;
  for (const id of ["language", "mode", "tests"]) if (at(id).value.trim()) body[id] = at(id).value;
  return [kind, body];
}

async function start(event) {
  event.preventDefault();
  if (busy()) return;
  const [kind, body] = wanted();
  clear();
  control = new AbortController();
  at("go").disabled = true; at("stop").disabled = false;
  say("At work …");
  const begun = performance.now();
  try {
    for await (const told of events(await ask(`/v1/agd/${kind}`, body, control.signal))) {
      if (told.type === "opening") opening = told.text;
      else if (told.type === "step") told.rows.forEach(take);
      else if (told.type === "candidate") tried(told);
      else if (told.type === "result") result(told);
    }
    say(`Done in ${((performance.now() - begun) / 1000).toFixed(1)} s.`);
  } catch (problem) {
    say(problem.name === "AbortError" ? "Stopped." : problem.message, problem.name !== "AbortError");
    at("verdict").textContent = "None.";
    if (!rows.size) at("tokens").replaceChildren(make("span", "quiet", "Nothing came."));
  } finally {
    control = null;
    at("go").disabled = false; at("stop").disabled = true;
    later();
  }
}

// History ---------------------------------------------------------------------------------------------------------

async function history() {
  const { runs } = await (await ask("/v1/agd/history")).json();
  const lines = runs.map((run) => {
    const line = make("tr"), told = run.told ?? {};
    const state = told.state ?? (told.reached !== undefined ? (told.reached ? "reached" : "not reached") : told.verified ? "verified" : "unverified");
    const good = ["verified", "repaired", "passing", "reached"].includes(state);
    const button = make("button", "", "Show");
    button.type = "button";
    button.setAttribute("aria-label", `Show ${run.kind}: ${run.asked.prompt}`);
    button.disabled = button.hidden = !told.program && !told.diff;
    button.addEventListener("click", () => { clear(); at("tokens").replaceChildren(make("span", "quiet", "Steps are kept only while the page is open.")); result(told); (told.candidates ?? []).filter((one) => one.program).forEach(tried); location.hash = "#code"; });
    const cells = [make("td", "", new Date(run.started * 1000).toLocaleString()), make("td", "", run.kind), make("td", "text", run.asked.prompt), make("td", good ? "good" : "quiet", state), make("td")];
    cells[4].append(button);
    line.append(...cells);
    return line;
  });
  if (!lines.length) { const cell = make("td", "quiet", "Nothing was done yet."); cell.colSpan = 5; const line = make("tr"); line.append(cell); lines.push(line); }
  at("runs").tBodies[0].replaceChildren(...lines);
}

// Views -----------------------------------------------------------------------------------------------------------

function view() {
  const name = ["maze", "history"].find((one) => location.hash === `#${one}`) ?? "code";
  for (const one of ["code", "maze", "history"]) {
    at(`view-${one}`).hidden = one !== name;
    if (one === name) at(`to-${one}`).setAttribute("aria-current", "page");
    else at(`to-${one}`).removeAttribute("aria-current");
  }
  if (name === "history") history().catch((problem) => say(problem.message, true));
}

function kindChanged() {
  const fix = at("kind").value === "fix";
  at("prompt-label").textContent = fix ? "The program that fails its tests" : "What the program shall do";
  at("prompt").rows = fix ? 9 : 5;
  at("tests").required = fix;
}

async function greet() {
  const { data } = await (await ask("/v1/models")).json();
  at("model").textContent = `model ${data[0].id}`;
}

at("ask").addEventListener("submit", start);
at("stop").addEventListener("click", () => control?.abort());
at("step").addEventListener("input", () => { follow = false; halt(); later(); });
at("play").addEventListener("click", replay);
at("kind").addEventListener("change", kindChanged);
at("copy").addEventListener("click", () => navigator.clipboard.writeText(at("copy").dataset.text).then(() => say("Copied.")));
at("door").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem("token", at("token").value.trim());
  at("door").hidden = true;
  greet().then(() => say(""), (problem) => say(problem.message, true));
});
addEventListener("hashchange", () => { if (!busy()) say(""); view(); });
view();
kindChanged();
showMaze(at, make, ask, say);
greet().catch((problem) => say(problem.message, true));

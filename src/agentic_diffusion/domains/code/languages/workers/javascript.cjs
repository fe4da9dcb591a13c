// The worker for JavaScript and TypeScript: one process, a fresh context for every candidate.
//
// Speaks the line protocol of `languages/harness.py` on descriptors 3 and 4. No object of this realm is handed into a
// context, code cannot be made from text in this realm (--disallow-code-generation-from-strings), and its built-ins are
// frozen before the first candidate: whoever finds a way out of the context finds nothing to turn. The walls around the
// process are the sandbox's. Started as `node [flags] javascript.cjs`, or with `typescript.cjs` and tsc's path behind it.
'use strict';
const fs = require('fs');
const path = require('path');
const vm = require('vm');
const crypto = require('crypto');

const SLICE = 50; // ms that javascript_inside.js may begin further cases for, before its clock is wound up again
const BUSY = 0.8; // share of its processor time that a case must have had, else it is tried once more with the wall clock
const STATUSES = ['passed', 'failed', 'error', 'timeout', 'killed', 'memory', 'output'];
const UNPREPARED = 'what comes before the cases did not end in time';
const LATE = 'the case did not end in time';
const NOT_RUN = 'not run, since a case before it did not end';
const beside = (name) => fs.readFileSync(path.join(__dirname, name), 'utf8');

const inside = new vm.Script(beside('javascript_inside.js'), { filename: 'inside.js' });
const assertions = new vm.Script(beside('javascript_assert.js'), { filename: 'assert.js' });
const translator = process.argv[2] ? require(path.join(__dirname, process.argv[2])).make(process.argv[3]) : null;
let opened = null; // {cases, caseSeconds, caseCpu, names, text, script}

process.on('uncaughtException', () => {});
process.on('unhandledRejection', () => {});

function freezeEverything() {
  for (const name of Object.getOwnPropertyNames(globalThis)) {
    const thing = Object.getOwnPropertyDescriptor(globalThis, name).value;
    if (typeof thing !== 'function' || !/^[A-Z]/.test(name)) continue;
    if (thing.prototype) Object.freeze(thing.prototype);
    Object.freeze(thing);
  }
  for (const thing of [JSON, Math, Reflect, Object.getPrototypeOf(async () => {}), Object.getPrototypeOf([][Symbol.iterator]())]) Object.freeze(thing);
}

// Lines ---------------------------------------------------------------------------------------------------------------

let pending = Buffer.alloc(0);
function readLine() {
  const piece = Buffer.alloc(1 << 16);
  const pieces = [];
  for (;;) {
    const end = pending.indexOf(10);
    if (end >= 0) {
      const line = Buffer.concat([...pieces, pending.subarray(0, end)]).toString('utf8');
      pending = pending.subarray(end + 1);
      return line;
    }
    pieces.push(pending);
    const count = fs.readSync(3, piece, 0, piece.length, null);
    if (count === 0) return null;
    pending = Buffer.from(piece.subarray(0, count));
  }
}

function say(record) {
  const data = Buffer.from(JSON.stringify(record) + '\n');
  for (let sent = 0; sent < data.length;) sent += fs.writeSync(4, data, sent);
}

// One candidate -------------------------------------------------------------------------------------------------------

function syntaxProblem(error) {
  const stack = String(error.stack);
  const place = /solution\.js:(\d+)/.exec(stack);
  const caret = /^(\s*)\^/m.exec(stack);
  return { line: place ? Number(place[1]) : 1, column: caret ? caret[1].length + 1 : 1, message: String(error.message) };
}

function prepare(code, request) {
  const options = { microtaskMode: 'afterEvaluate', codeGeneration: { strings: true, wasm: false } };
  const context = vm.createContext(Object.create(null), options);
  const control = inside.runInContext(context)(assertions.runInContext(context));
  const thunks = opened.names.map((name) => `${JSON.stringify(name)}: () => ${name}`).join(', ');
  const given = { filename: 'solution.js', parsingContext: context };
  const program = vm.compileFunction(`${code}\n;return { ${thunks} };`, ['exports', 'require', 'module'], given);
  const token = crypto.randomBytes(12).toString('hex');
  control('start', token, opened.cases.length, request.output_bytes);
  control('load', program, opened.script.runInContext(context));
  return { context, control, step: new vm.Script(`__step(${JSON.stringify(token)})`) };
}

const sleep = (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);

// Runs until all cases are done; returns why it stopped: '' | 'late' | 'stuck' | 'output' | 'killed'.
function drive({ context, control, step }, milliseconds, deadline) {
  let current = -2;
  let since = Date.now();
  for (;;) {
    const began = Date.now();
    const left = Math.min(milliseconds + SLICE, deadline - began);
    if (left < 1) return 'late';
    try {
      step.runInContext(context, { timeout: Math.ceil(left) });
    } catch {
      // the step itself throws nothing, and what it threw may be the candidate's: it is not looked at
      return Date.now() - began >= BUSY * left ? 'late' : 'killed';
    }
    const [word, detail] = control('state').split(' ');
    if (word === 'finished' || word === 'broken') return '';
    if (word === 'ended') return detail;
    if (word === 'stuck') return 'stuck';
    const number = control('current');
    if (number !== current) {
      current = number;
      since = Date.now();
    }
    if (word === 'timer') {
      const wait = Number(detail);
      if (Date.now() + wait > Math.min(since + milliseconds, deadline)) return 'late';
      if (wait > 0) sleep(wait);
    }
  }
}

const WHY = {
  late: ['timeout', LATE], stuck: ['timeout', 'the case waits for something that never happens'],
  output: ['output', 'too much output'], killed: ['killed', 'the program ended itself'],
};

// The lines that a counted program told of a case; nothing of others.
function linesOf(told) {
  return /^\d+(,\d+)*$/.test(told.lines) ? { lines: told.lines.split(',').map(Number) } : {};
}

function outcomes(control, why) {
  const current = Number(control('current'));
  const found = [];
  for (let number = 0; number < opened.cases.length; number += 1) {
    const told = JSON.parse(String(control('case', number)));
    let { status, message = '', type = null } = told;
    if (!STATUSES.includes(status)) [status, message] = ['error', 'the case did not run'];
    if (why && (number >= current && status === 'passed' || message === 'the case did not run')) {
      [status, message] = WHY[why];
      if (status === 'timeout' && current < 0) message = UNPREPARED;
      else if (status === 'timeout' && number !== current) message = NOT_RUN;
      type = null;
    }
    const seconds = Number(told.seconds) || 0;
    found.push({ case: number, status, message: String(message), type: type === null ? null : String(type), line: Number(told.line) || null, seconds, ...linesOf(told) });
  }
  return found;
}

function judge(code, request) {
  const deadline = Date.now() + request.seconds * 1000;
  const clocks = [opened.caseCpu, opened.caseSeconds];
  for (let turn = 0; ; turn += 1) {
    let prepared;
    try {
      prepared = prepare(code, request);
    } catch (error) {
      return { problem: syntaxProblem(error), outcomes: [] };
    }
    const before = process.cpuUsage();
    const why = drive(prepared, clocks[turn] * 1000, deadline);
    const used = process.cpuUsage(before);
    const busy = (used.user + used.system) / 1e6;
    if (why === 'late' && turn === 0 && clocks[1] > clocks[0] && busy < BUSY * clocks[0] && Date.now() < deadline) continue;
    return { problem: null, outcomes: outcomes(prepared.control, why) };
  }
}

function withEvidence(result, translated) {
  for (const outcome of result.outcomes) {
    if (outcome.line) outcome.line = translated.lineOf(outcome.line);
    if (outcome.status === 'passed' || !translated.evidence) continue;
    const { line, message } = translated.evidence;
    outcome.message += ` (type error in line ${line}: ${message})`;
    outcome.line = outcome.line || line;
  }
  if (result.problem) result.problem = translated.problem || { ...result.problem, line: translated.lineOf(result.problem.line) };
  return result;
}

// The service ---------------------------------------------------------------------------------------------------------

function open(request) {
  const { names, text } = JSON.parse(request.suite);
  opened = { cases: request.cases, caseSeconds: request.case_seconds, caseCpu: request.case_cpu, names, text, script: null };
  if (translator === null) opened.script = new vm.Script(text, { filename: 'tests.js' });
  say({ ready: true });
}

async function judgeAll(request) {
  let translated = null;
  if (translator !== null) {
    const texts = request.judge.map((item) => item.source);
    translated = translator.translate(opened.script === null ? [...texts, opened.text] : texts);
    if (opened.script === null) opened.script = new vm.Script(translated.pop().code, { filename: 'tests.js' });
  }
  for (let index = 0; index < request.judge.length; index += 1) {
    const item = request.judge[index];
    const code = translated === null ? item.source : translated[index].code;
    const result = judge(code, request);
    if (translated !== null) withEvidence(result, translated[index]);
    say({ id: item.id, nonce: request.nonce, ...result });
    // what candidates left to the event loop (rejections, finalizers) is let go of here
    await new Promise((go) => { setImmediate(go); });
  }
  say({ done: request.judge.length, clean: true });
}

async function serve() {
  freezeEverything();
  for (let line = readLine(); line !== null; line = readLine()) {
    const request = JSON.parse(line);
    if (request.open) open(request.open);
    else await judgeAll(request);
  }
  process.exit(0);
}

serve();

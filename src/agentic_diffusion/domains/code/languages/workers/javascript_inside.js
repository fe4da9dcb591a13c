// What a candidate finds in its context, and the driver that runs the cases there.
//
// Runs in a fresh context before the candidate. Built-ins are captured first: what decides a verdict uses these only.
// Nothing of the worker's own realm is reachable from here: the worker hands in numbers and texts, and takes texts back.
// The value of this script is a function of the assertions' script; its result is the function `control`.
(function (makeAssertions) {
  'use strict';
  const uncurry = Function.prototype.bind.bind(Function.prototype.call);
  const { apply, ownKeys, getPrototypeOf, defineProperty, has } = Reflect;
  const { is, keys, freeze, create } = Object;
  const { isArray } = Array;
  const { stringify } = JSON;
  const { now } = Date;
  const { min, max, pow, abs, ceil } = Math;
  const [MapType, SetType, DateType, RegExpType, ErrorType, PromiseType] = [Map, Set, Date, RegExp, Error, Promise];
  const slice = uncurry(String.prototype.slice), indexOf = uncurry(String.prototype.indexOf);
  const splitText = uncurry(String.prototype.split), execute = uncurry(RegExp.prototype.exec);
  const hasOwn = uncurry(Object.prototype.hasOwnProperty), tagOf = uncurry(Object.prototype.toString);
  const push = uncurry(Array.prototype.push), splice = uncurry(Array.prototype.splice), sourceOf = uncurry(Function.prototype.toString);
  const mapEach = uncurry(Map.prototype.forEach), setEach = uncurry(Set.prototype.forEach);
  const mapHas = uncurry(Map.prototype.has), setHas = uncurry(Set.prototype.has), dateTime = uncurry(Date.prototype.getTime);
  const isInstance = uncurry(Function.prototype[Symbol.hasInstance]), toRegExpText = uncurry(RegExp.prototype.toString);
  const unboxers = [Number.prototype.valueOf, String.prototype.valueOf, Boolean.prototype.valueOf].map((method) => uncurry(method));
  const StringOf = String, ObjectOf = Object, TypeErrorType = TypeError, isIntegral = Number.isSafeInteger;
  // `x.constructor === Array` and the like keep their meaning; prototypes stay open, for programs do extend them
  for (const thing of [JSON, Math, Reflect, Promise.prototype, Promise, Object, Array, String, Number, Boolean, Symbol, Map, Set, Date]) freeze(thing);
  for (const name of ['WebAssembly', 'SharedArrayBuffer', 'Atomics']) delete globalThis[name];

  // Captured helpers --------------------------------------------------------------------------------------------------

  const attempt = (work, otherwise) => { try { return work(); } catch { return otherwise; } };
  const holds = (work) => attempt(() => { work(); return true; }, false);
  const append = (list, item) => {
    const longer = [];
    for (let i = 0; i < list.length; i += 1) defineProperty(longer, i, { value: list[i], writable: true, configurable: true, enumerable: true });
    defineProperty(longer, longer.length, { value: item, writable: true, configurable: true, enumerable: true });
    return longer;
  };
  const isError = (value) => attempt(() => isInstance(ErrorType, value), false);
  function kindOf(value) {
    if (value === null || typeof value !== 'object') return typeof value;
    if (isArray(value)) return 'array';
    if (holds(() => dateTime(value))) return 'date';
    if (holds(() => mapHas(value, 0))) return 'map';
    if (holds(() => setHas(value, 0))) return 'set';
    const tag = attempt(() => tagOf(value), '');
    if (tag === '[object RegExp]') return 'regexp';
    if (isError(value)) return 'error';
    for (let i = 0; i < unboxers.length; i += 1) if (holds(() => unboxers[i](value))) return 'boxed';
    return 'object';
  }
  const listed = (each, collection, make) => {
    let list = [];
    each(collection, (value, key) => { list = append(list, make(value, key)); });
    return list;
  };
  const WIDTH = 200, DEPTH = 4;
  const shorten = (text) => (text.length > WIDTH ? slice(text, 0, WIDTH - 3) + '...' : text);

  function show(value, depth) {
    if (typeof value === 'string') return depth === DEPTH ? value : stringify(value);
    if (typeof value === 'bigint') return StringOf(value) + 'n';
    if (is(value, -0)) return '-0';
    if (typeof value === 'function') return '[function ' + (attempt(() => value.name, '') || 'without a name') + ']';
    if (value === null || typeof value !== 'object') return StringOf(value);
    if (depth === 0) return '...';
    const kind = kindOf(value);
    if (kind === 'date') return attempt(() => StringOf(dateTime(value)), '?') + ' ms (Date)';
    if (kind === 'regexp') return toRegExpText(value);
    if (kind === 'error') return errorText(value);
    if (kind === 'map') return 'Map' + show(listed(mapEach, value, (item, key) => [key, item]), depth - 1);
    if (kind === 'set') return 'Set' + show(listed(setEach, value, (item) => item), depth - 1);
    let text = '';
    const names = kind === 'array' ? null : keys(value);
    const size = names === null ? value.length : names.length;
    for (let i = 0; i < size && text.length <= WIDTH; i += 1) {
      const item = show(value[names === null ? i : names[i]], min(depth - 1, DEPTH - 1));
      text += (i ? ', ' : '') + (names === null ? '' : names[i] + ': ') + item;
    }
    return names === null ? '[' + text + ']' : '{' + text + '}';
  }
  const toText = (value) => shorten(attempt(() => (typeof value === 'string' ? stringify(value) : show(value, DEPTH - 1)), '?'));
  const messageOf = (value) => attempt(() => (isError(value) ? StringOf(value.message) : typeof value === 'string' ? value : toText(value)), '?');
  const nameOf = (error) => attempt(() => (isError(error) ? StringOf(error.name) : 'thrown'), 'Error');
  const errorText = (error) => { const said = messageOf(error); return said ? nameOf(error) + ': ' + said : nameOf(error); };

  const assertions = makeAssertions({
    apply, append, create, define: defineProperty, freeze, hasOwn, is, isArray, isError, isInstance: (value, type) => isInstance(type, value),
    isErrorType: (type) => type === ErrorType || isInstance(ErrorType, type.prototype),
    call: (work, self, ...given) => apply(work, self, given), kindOf, keysOf: (value) => keys(value), prototypeOf: getPrototypeOf,
    append2: (first, rest) => { let list = [first]; for (let i = 0; i < rest.length; i += 1) list = append(list, rest[i]); return list; },
    toText, messageOf, errorText, includes: (text, part) => indexOf(text, part) >= 0, split: splitText, boxed: (value) => ObjectOf(value),
    test: (pattern, text) => { pattern.lastIndex = 0; return execute(pattern, text) !== null; },
    dateValue: dateTime, regexpText: toRegExpText, distance: (a, b) => abs(a - b), power: pow, given: freeze({}),
    unboxed: (value) => { for (let i = 0; i < unboxers.length; i += 1) { const found = attempt(() => [unboxers[i](value)], null); if (found) return found[0]; } return value; },
    entriesOf: (map) => listed(mapEach, map, (value, key) => [key, value]), valuesOf: (set) => listed(setEach, set, (value) => value),
    ErrorType, MapType, SetType, DateType, RegExpType,
  });

  // What programs find ------------------------------------------------------------------------------------------------

  let room = 0;
  let ended = null; // why the program as a whole must stop: "output" or "killed"
  const write = (text) => {
    room -= text.length + 1;
    if (room < 0) { ended = 'output'; throw new ErrorType('too much output'); }
    return true;
  };
  const print = (...values) => { for (let i = 0; i < values.length; i += 1) write(attempt(() => (typeof values[i] === 'string' ? values[i] : show(values[i], DEPTH)), '?')); };
  const quiet = () => {};
  const console = {};
  for (const name of ['log', 'info', 'warn', 'error', 'debug', 'dir', 'table', 'trace']) console[name] = print;
  for (const name of ['time', 'timeEnd', 'timeLog', 'group', 'groupEnd', 'clear', 'count']) console[name] = quiet;
  console.assert = assertions.assert;

  let timers = [], lastTimer = 0;
  const schedule = (work, wait, given, every) => {
    lastTimer += 1;
    timers = append(timers, { id: lastTimer, due: now() + max(1, +wait || 0), work, given, every: every ? max(1, +wait || 0) : 0 });
    return lastTimer;
  };
  const cancel = (id) => {
    let kept = [];
    for (let i = 0; i < timers.length; i += 1) if (timers[i].id !== id) kept = append(kept, timers[i]);
    timers = kept;
  };
  const nextDue = () => { let due = Infinity; for (let i = 0; i < timers.length; i += 1) due = min(due, timers[i].due); return due; };
  function fire() {
    const due = nextDue();
    if (due > now()) return;
    let first = null;
    for (let i = 0; i < timers.length && first === null; i += 1) if (timers[i].due === due) first = timers[i];
    if (first.every) first.due = now() + first.every; else cancel(first.id);
    try { apply(first.work, undefined, first.given); } catch (error) { stray(error); }
  }
  const stray = (error) => { if (current !== null && failures[current] === undefined) note(current, error); };
  const exit = () => { ended = ended || 'killed'; throw new ErrorType('the program called process.exit'); };
  const process = {
    argv: ['node', 'solution.js'], env: {}, platform: 'linux', pid: 1, version: 'v20.0.0', versions: { node: '20.0.0' }, exitCode: 0,
    stdout: { write, isTTY: false }, stderr: { write, isTTY: false }, exit, abort: exit, kill: exit, on: quiet, cwd: () => '/scratch',
    nextTick: (work, ...given) => { PromiseType.resolve().then(() => apply(work, undefined, given)); }, uptime: () => now() / 1000,
    hrtime: () => [ceil(now() / 1000), 0], memoryUsage: () => ({ heapUsed: 0, heapTotal: 0, rss: 0 }),
  };
  process.hrtime.bigint = () => BigInt(now()) * 1000000n;

  function copied(value) {
    const kind = kindOf(value);
    if (kind === 'function' || kind === 'symbol') throw new TypeErrorType(toText(value) + ' could not be cloned');
    if (value === null || typeof value !== 'object') return value;
    if (kind === 'date') return new DateType(dateTime(value));
    if (kind === 'map') { const map = new MapType(); mapEach(value, (item, key) => map.set(copied(key), copied(item))); return map; }
    if (kind === 'set') { const set = new SetType(); setEach(value, (item) => set.add(copied(item))); return set; }
    const copy = kind === 'array' ? [] : {};
    const names = keys(value);
    for (let i = 0; i < names.length; i += 1) copy[names[i]] = copied(value[names[i]]);
    return copy;
  }

  const globals = {
    console, process, global: globalThis, performance: { now: () => now() }, structuredClone: copied,
    setTimeout: (work, wait, ...given) => schedule(work, wait, given, false), setInterval: (work, wait, ...given) => schedule(work, wait, given, true),
    setImmediate: (work, ...given) => schedule(work, 0, given, false), clearTimeout: cancel, clearInterval: cancel, clearImmediate: cancel,
    queueMicrotask: (work) => { PromiseType.resolve().then(work); },
  };
  for (const name of keys(globals)) defineProperty(globalThis, name, { value: globals[name], writable: true, configurable: true, enumerable: false });

  // Modules -----------------------------------------------------------------------------------------------------------

  const module = { exports: {}, id: 'solution', children: [], filename: 'solution.js' };
  let names = {}; // thunks of the candidate's top-level names that tests ask for
  const named = (name) => attempt(() => (hasOwn(names, name) ? names[name]() : undefined), undefined);
  const exported = () => module.exports;
  function member(name) {
    const given = exported();
    const has = given !== null && (typeof given === 'object' || typeof given === 'function');
    if (has && name in given && (typeof given !== 'function' || hasOwn(given, name))) return given[name];
    const own = named(name);
    if (own !== undefined) return own;
    return typeof given === 'function' && given.name === name ? given : undefined;
  }
  function solution(asName) {
    const given = exported();
    if (typeof given === 'function') { fill(given); return given; }
    const own = asName === null ? undefined : named(asName);
    if (typeof own === 'function' && keys(ObjectOf(given)).length === 0) { fill(own); return own; }
    if (given !== null && typeof given === 'object') fill(given);
    return given;
  }
  function fill(target) {
    const wanted = keys(names);
    for (let i = 0; i < wanted.length; i += 1) {
      const value = named(wanted[i]);
      if (value !== undefined && value !== target && !(wanted[i] in target)) attempt(() => defineProperty(target, wanted[i], { value, enumerable: true, configurable: true, writable: true }));
    }
  }
  function byDefault(name) {
    const given = exported();
    if (given !== null && typeof given === 'object' && 'default' in given) return given.default;
    if (typeof given === 'function') return given;
    return name === null ? undefined : member(name);
  }
  const lodash = freeze({ isEqual: assertions.isEqual });
  const util = freeze({ inspect: (value) => show(value, DEPTH), isDeepStrictEqual: assertions.isDeepStrictEqual, promisify: (work) => (...given) => new PromiseType((good, bad) => work(...given, (error, value) => (error ? bad(error) : good(value)))) });
  const found = (text) => (text.length > 5 && slice(text, 0, 5) === 'node:' ? slice(text, 5) : text);
  function require(text) {
    const name = found(StringOf(text));
    const known = {
      __proto__: null, assert: assertions.assert, 'assert/strict': assertions.strict, lodash, util, test: testing, process,
      perf_hooks: { performance: globals.performance }, timers: globals, console, '@jest/globals': testing, vitest: testing, chai: testing,
    };
    if (name in known) return known[name];
    if (name === 'solution' || slice(name, 0, 2) === './' || slice(name, 0, 3) === '../') return solution(null);
    const error = new ErrorType("Cannot find module '" + name + "'");
    error.code = 'MODULE_NOT_FOUND';
    throw error;
  }
  require.main = {};

  // Registered tests --------------------------------------------------------------------------------------------------

  let queue = [];
  let group = { before: [], after: [], beforeEach: [], afterEach: [], parent: null, started: false };
  const bodyOf = (given) => { for (let i = 0; i < given.length; i += 1) if (typeof given[i] === 'function') return given[i]; return null; };
  function registering(site) {
    const register = (...given) => { queue = append(queue, { site, body: bodyOf(given), group }); };
    const skip = () => { queue = append(queue, { site, body: null, group }); };
    const each = (rows) => (title, body) => {
      for (let i = 0; i < rows.length; i += 1) register(title, () => (isArray(rows[i]) ? apply(body, undefined, rows[i]) : body(rows[i])));
    };
    const all = { only: register, concurrent: register, failing: skip, skip, todo: skip, each, it: register, test: register };
    for (const name of keys(all)) register[name] = all[name];
    return register;
  }
  function describe(...given) {
    const body = bodyOf(given);
    group = { before: [], after: [], beforeEach: [], afterEach: [], parent: group, started: false };
    try { if (body) body(); } finally { group = group.parent; }
  }
  describe.only = describe;
  describe.skip = (...given) => { const from = queue.length; describe(...given); for (let i = from; i < queue.length; i += 1) queue[i].body = null; };
  describe.each = (rows) => (title, body) => { for (let i = 0; i < rows.length; i += 1) describe(title, () => (isArray(rows[i]) ? apply(body, undefined, rows[i]) : body(rows[i]))); };
  const hook = (when) => (work) => { group[when] = append(group[when], work); };
  const hooks = { before: hook('before'), beforeAll: hook('before'), after: hook('after'), afterAll: hook('after'), beforeEach: hook('beforeEach'), afterEach: hook('afterEach') };
  const plain = registering(-1);
  const testing = { test: plain, it: plain, describe, suite: describe, expect: assertions.expect, assert: assertions.assert, ...hooks };
  plain.default = plain;
  for (const name of keys(testing)) if (!(name in plain)) plain[name] = testing[name];

  // The driver --------------------------------------------------------------------------------------------------------

  let token = '', cases = 0, sliceMs = 50, sliceEnd = 0;
  let current = null, resume = null, finished = false, waiting = false, failed = null, started = 0;
  const failures = create(null), done = create(null), spent = create(null);

  // Counted programs (testing/counters.py) tell their lines; each case may pass so many of them.
  const LINES = 20000, PASSES = 100000;
  let hits = create(null), left = PASSES, kinds = 0;
  const shared = create(null), passed = create(null);
  function hit(line) {
    left -= 1;
    if (left < 0) throw new ErrorType('too many steps');
    if (!isIntegral(line) || hits[line] || kinds >= LINES) return;
    kinds += 1;
    hits[line] = true;
    if (current === null) shared[line] = true;
  }
  defineProperty(globalThis, '__agd_hit', { value: hit, enumerable: false, writable: false, configurable: false });

  function lineOf(error) {
    const stack = attempt(() => StringOf(error.stack), '');
    const place = indexOf(stack, 'solution.js:');
    if (place < 0) return 0;
    let line = 0;
    for (let i = place + 12; i < stack.length; i += 1) {
      const digit = +stack[i];
      if (stack[i] === ' ' || stack[i] === '\n' || !isIntegral(digit)) break;
      line = line * 10 + digit;
    }
    return line;
  }
  function note(number, error) {
    if (number === null || failures[number] !== undefined) return;
    const name = nameOf(error);
    const asserted = attempt(() => isInstance(assertions.AssertionError, error), false) || !isError(error);
    failures[number] = { __proto__: null, status: ended || (asserted ? 'failed' : 'error'), type: isError(error) ? name : 'AssertionError', message: shorten(messageOf(error)), line: lineOf(error) };
  }
  function begin(number) {
    current = number;
    started = now();
    hits = create(null); left = PASSES; kinds = 0;
    if (failed !== null) { note(number, failed.error); failed = null; }
    return started > sliceEnd;
  }
  function end() {
    if (current === null) return;
    done[current] = true;
    const before = passed[current] || create(null), found = keys(hits);
    for (let i = 0; i < found.length; i += 1) before[found[i]] = true;
    passed[current] = before;
    spent[current] = (spent[current] || 0) + (now() - started) / 1000;
    last = current;
    current = null;
  }
  function linesOf(number) {
    const all = create(null), places = [shared, passed[number] || create(null), number === current ? hits : create(null)];
    for (let i = 0; i < places.length; i += 1) { const found = keys(places[i]); for (let j = 0; j < found.length; j += 1) all[found[j]] = true; }
    const found = keys(all);
    let text = '';
    for (let i = 0; i < found.length; i += 1) text += (i ? ',' : '') + found[i];
    return text;
  }
  let last = null;
  const pause = () => new PromiseType((release) => { resume = release; });
  const harness = freeze({
    begin, end, pause, fail: (error) => note(current, error), broke: (error) => { failed = failed || { error }; }, site: registering, member, byDefault,
    solution, values: (text, found) => {
      let said = '';
      const parts = keys(found);
      for (let i = 0; i < parts.length; i += 1) said += (i ? ', ' : '') + parts[i] + ' = ' + toText(found[parts[i]]);
      note(current, new assertions.AssertionError(text + (said ? ', where ' + said : '')));
    },
  });

  async function runOne(entry) {
    const chain = [];
    for (let place = entry.group; place !== null; place = place.parent) push(chain, place);
    try {
      if (entry.body === null) throw new assertions.AssertionError('skipped');
      for (let i = chain.length - 1; i >= 0; i -= 1) {
        if (!chain[i].started) { chain[i].started = true; for (let j = 0; j < chain[i].before.length; j += 1) await chain[i].before[j](); }
      }
      for (let i = chain.length - 1; i >= 0; i -= 1) for (let j = 0; j < chain[i].beforeEach.length; j += 1) await chain[i].beforeEach[j]();
      await (entry.body.length > 0 ? called(entry.body) : entry.body());
      for (let i = 0; i < chain.length; i += 1) for (let j = 0; j < chain[i].afterEach.length; j += 1) await chain[i].afterEach[j]();
    } catch (error) {
      note(current, error);
    }
  }
  // a body with an argument gets one object that is jest's `done` and node's test context at once
  function called(body) {
    return new PromiseType((good, bad) => {
      const context = (error) => (error ? bad(error) : good());
      context.test = (...given) => bodyOf(given)(context);
      context.assert = assertions.assert;
      const usesDone = execute(/^(?:async\s*)?(?:function[^(]*)?\(?\s*(?:done|callback|cb)\b/, sourceOf(body)) !== null;
      const result = body(context);
      if (!usesDone) good(result);
    });
  }

  async function main(program, suite) {
    try {
      names = apply(program, module.exports, [module.exports, require, module]) || {};
    } catch (error) {
      for (let i = 0; i < cases; i += 1) { note(i, error); done[i] = true; }
      return;
    }
    const wanted = [];
    for (let i = 0; i < suite.names.length; i += 1) push(wanted, member(suite.names[i]));
    const given = [harness, require, assertions.assert, describe, assertions.expect, hooks.before, hooks.beforeAll, hooks.after, hooks.afterAll, hooks.beforeEach, hooks.afterEach];
    for (let i = 0; i < wanted.length; i += 1) push(given, wanted[i]);
    await apply(suite.run, undefined, given);
    current = null;
    for (let i = 0; i < queue.length; i += 1) {
      if (ended !== null) break;
      if (begin(queue[i].site)) await pause();
      if (queue[i].site >= 0) await runOne(queue[i]);
      end();
    }
    // a set-up that broke after the last case belongs to that case
    if (failed !== null) { const owner = last === null ? 0 : last; note(owner, failed.error); done[owner] = true; }
  }

  let program = null, suite = null, running = false;
  function step(given) {
    if (given !== token || running) return;
    running = true;
    try {
      sliceEnd = now() + sliceMs;
      if (!waiting) { waiting = true; main(program, suite).then(() => { finished = true; }, (error) => { failed = { error }; finished = true; }); }
      else if (resume !== null) { const release = resume; resume = null; release(); }
      else fire();
    } finally { running = false; }
  }
  defineProperty(globalThis, '__step', { value: step, enumerable: false, writable: false, configurable: false });

  // Called by the worker: numbers and texts in, texts out.
  return function control(word, a, b, c) {
    if (word === 'start') { token = a; cases = b; room = c; return ''; }
    if (word === 'load') { program = a; suite = b; return ''; }
    if (word === 'state') {
      if (ended !== null) return 'ended ' + ended;
      if (finished) return failed !== null && last === null && keys(done).length === 0 ? 'broken' : 'finished';
      if (resume !== null) return 'paused';
      return timers.length ? 'timer ' + max(0, ceil(nextDue() - now())) : 'stuck';
    }
    if (word === 'current') return current === null ? -1 : current;
    const failure = failures[a];
    const lines = linesOf(a);
    if (failure) { failure.seconds = spent[a] || 0; failure.lines = lines; }
    if (failure) return stringify(failure);
    return stringify({ __proto__: null, status: done[a] ? 'passed' : 'missing', seconds: spent[a] || 0, lines });
  };
});

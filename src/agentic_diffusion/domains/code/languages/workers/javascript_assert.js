// The assertions that tests may use, built inside the context of a candidate before its code is loaded.
//
// `assert` follows the contract of Node's module of that name, `expect` that of jest's, `isEqual` that of lodash's.
// What the verdict rests on is captured here, so that a candidate that replaces built-in methods replaces its own only.
// The value of this script is a function of the captured built-ins (see javascript_inside.js).
(function (own) {
  'use strict';
  const { call, isArray, is, keysOf, prototypeOf, hasOwn, toText, MapType, SetType, DateType, RegExpType, ErrorType } = own;

  class AssertionError extends ErrorType {
    constructor(message) {
      super(message);
      own.define(this, 'code', { value: 'ERR_ASSERTION', enumerable: false });
    }
  }
  own.define(AssertionError.prototype, 'name', { value: 'AssertionError' });

  const fail = (message) => { throw new AssertionError(message); };
  const got = (actual, expected, message) =>
    fail((message === undefined ? '' : own.messageOf(message) + ': ') + 'got ' + toText(actual) + ', expected ' + toText(expected));
  const complain = (message, otherwise) => {
    if (own.isError(message)) throw message;
    fail(message === undefined ? otherwise : own.messageOf(message));
  };

  // Equality ----------------------------------------------------------------------------------------------------------
  // mode: 'loose' (==), 'strict' (Object.is, prototypes), 'same' (lodash: NaN is NaN, 0 is -0), 'jest' (no undefined)

  const primitivesEqual = (a, b, mode) => {
    if (is(a, b)) return true;
    if (mode === 'loose') return a == b; // eslint-disable-line eqeqeq
    return mode === 'same' && a === b;
  };
  const isObject = (value) => value !== null && typeof value === 'object';

  function equal(a, b, mode, seen) {
    if (!isObject(a) || !isObject(b)) return primitivesEqual(a, b, isObject(a) || isObject(b) ? 'strict' : mode);
    if (a === b) return true;
    if (mode !== 'loose' && mode !== 'jest' && prototypeOf(a) !== prototypeOf(b)) return false;
    const kind = own.kindOf(a);
    if (kind !== own.kindOf(b)) return false;
    for (let i = 0; i < seen.length; i += 2) if (seen[i] === a && seen[i + 1] === b) return true;
    const inner = own.append(own.append(seen, a), b);
    if (!kindsEqual(a, b, kind, mode, inner)) return false;
    return propertiesEqual(a, b, mode, inner);
  }

  function kindsEqual(a, b, kind, mode, seen) {
    if (kind === 'array') return a.length === b.length;
    if (kind === 'date') return is(own.dateValue(a), own.dateValue(b));
    if (kind === 'regexp') return own.regexpText(a) === own.regexpText(b);
    if (kind === 'boxed') return is(own.unboxed(a), own.unboxed(b));
    if (kind === 'error') return a.message === b.message && a.name === b.name;
    if (kind === 'map') return mapsEqual(a, b, mode, seen);
    if (kind === 'set') return setsEqual(a, b, mode, seen);
    return true;
  }

  function mapsEqual(a, b, mode, seen) {
    const left = own.entriesOf(a), right = own.entriesOf(b);
    return sameMembers(left, right, (x, y) => equal(x[0], y[0], mode, seen) && equal(x[1], y[1], mode, seen));
  }

  function setsEqual(a, b, mode, seen) {
    return sameMembers(own.valuesOf(a), own.valuesOf(b), (x, y) => equal(x, y, mode, seen));
  }

  function sameMembers(left, right, alike) {
    if (left.length !== right.length) return false;
    const used = [];
    for (let i = 0; i < left.length; i += 1) {
      let found = -1;
      for (let j = 0; j < right.length && found < 0; j += 1) if (!used[j] && alike(left[i], right[j])) found = j;
      if (found < 0) return false;
      own.define(used, found, { value: true });
    }
    return true;
  }

  function propertiesEqual(a, b, mode, seen) {
    let left = keysOf(a), right = keysOf(b);
    if (mode === 'jest') {
      left = defined(a, left);
      right = defined(b, right);
    }
    if (left.length !== right.length) return false;
    for (let i = 0; i < left.length; i += 1) {
      if (!hasOwn(b, left[i]) || !equal(a[left[i]], b[left[i]], mode, seen)) return false;
    }
    return true;
  }

  function defined(value, keys) {
    let kept = [];
    for (let i = 0; i < keys.length; i += 1) if (value[keys[i]] !== undefined) kept = own.append(kept, keys[i]);
    return kept;
  }

  const deep = (a, b, mode) => equal(a, b, mode, []);

  // Exceptions --------------------------------------------------------------------------------------------------------

  function matches(error, expected) {
    if (expected === undefined) return true;
    if (typeof expected === 'string') return own.includes(own.messageOf(error), expected);
    if (own.kindOf(expected) === 'regexp') return own.test(expected, own.isError(error) ? own.errorText(error) : toText(error));
    if (typeof expected === 'function') {
      if (expected.prototype !== undefined && own.isInstance(error, expected)) return true;
      if (own.isErrorType(expected)) return false;
      return call(expected, undefined, error) === true;
    }
    const keys = own.isError(expected) ? ['name', 'message'] : keysOf(expected);
    for (let i = 0; i < keys.length; i += 1) {
      const wanted = expected[keys[i]], actual = error[keys[i]];
      const fits = own.kindOf(wanted) === 'regexp' && typeof actual === 'string' ? own.test(wanted, actual) : deep(actual, wanted, 'strict');
      if (!fits) return false;
    }
    return true;
  }

  function thrown(work) {
    if (typeof work !== 'function') fail('a function is needed, and ' + toText(work) + ' was given');
    try {
      work();
    } catch (error) {
      return { error };
    }
    return null;
  }

  async function rejected(work) {
    try {
      await (typeof work === 'function' ? work() : work);
    } catch (error) {
      return { error };
    }
    return null;
  }

  function checkThrown(found, expected, message, verb) {
    const [wanted, text] = typeof expected === 'string' && message === undefined ? [undefined, expected] : [expected, message];
    if (found === null) complain(text, 'it did not ' + verb);
    if (!matches(found.error, wanted)) got(found.error, wanted, text);
  }

  // assert ------------------------------------------------------------------------------------------------------------

  const numbersSame = (a, b) => a == b || (a !== a && b !== b); // eslint-disable-line
  const assert = (value, message) => { if (!value) complain(message, 'got ' + toText(value) + ', expected a true value'); };
  const pairs = {
    equal: (a, b) => numbersSame(a, b),
    strictEqual: (a, b) => is(a, b),
    deepEqual: (a, b) => deep(a, b, 'loose'),
    deepStrictEqual: (a, b) => deep(a, b, 'strict'),
  };
  const opposites = { equal: 'notEqual', strictEqual: 'notStrictEqual', deepEqual: 'notDeepEqual', deepStrictEqual: 'notDeepStrictEqual' };
  for (const name of keysOf(pairs)) {
    assert[name] = (actual, expected, message) => {
      if (own.isError(message) && !pairs[name](actual, expected)) throw message;
      if (!pairs[name](actual, expected)) got(actual, expected, message);
    };
    assert[opposites[name]] = (actual, expected, message) => {
      if (pairs[name](actual, expected)) complain(message, 'got ' + toText(actual) + ', expected something else');
    };
  }
  assert.ok = (value, message) => assert(value, message);
  assert.fail = (message) => complain(message, 'Failed');
  assert.ifError = (value) => { if (value !== null && value !== undefined) throw value; };
  assert.throws = (work, expected, message) => checkThrown(thrown(work), expected, message, 'throw');
  assert.doesNotThrow = (work) => { const found = thrown(work); if (found !== null) got(found.error, 'no exception'); };
  assert.rejects = async (work, expected, message) => checkThrown(await rejected(work), expected, message, 'reject');
  assert.doesNotReject = async (work) => { const found = await rejected(work); if (found !== null) got(found.error, 'no rejection'); };
  assert.match = (text, pattern, message) => { if (!own.test(pattern, text)) got(text, pattern, message); };
  assert.doesNotMatch = (text, pattern, message) => { if (own.test(pattern, text)) complain(message, toText(text) + ' matches ' + toText(pattern)); };
  assert.AssertionError = AssertionError;
  const strict = (value, message) => assert(value, message);
  for (const name of keysOf(assert)) strict[name] = assert[name];
  strict.equal = assert.strictEqual;
  strict.notEqual = assert.notStrictEqual;
  strict.deepEqual = assert.deepStrictEqual;
  strict.notDeepEqual = assert.notDeepStrictEqual;
  assert.strict = strict;
  strict.strict = strict;

  // expect ------------------------------------------------------------------------------------------------------------

  function contains(list, member, mode) {
    if (typeof list === 'string') return own.includes(list, member);
    const values = isArray(list) ? list : own.valuesOf(list);
    for (let i = 0; i < values.length; i += 1) {
      if (mode === 'jest' ? deep(values[i], member, 'jest') : values[i] === member) return true;
    }
    return false;
  }

  function partly(value, wanted) {
    if (!isObject(value) || !isObject(wanted)) return deep(value, wanted, 'jest');
    if (isArray(wanted) && (!isArray(value) || value.length !== wanted.length)) return false;
    const keys = keysOf(wanted);
    for (let i = 0; i < keys.length; i += 1) if (!partly(value[keys[i]], wanted[keys[i]])) return false;
    return true;
  }

  function property(value, path) {
    const names = isArray(path) ? path : own.split(path, '.');
    let place = value;
    for (let i = 0; i < names.length; i += 1) {
      if (place === null || place === undefined || !(names[i] in own.boxed(place))) return null;
      place = place[names[i]];
    }
    return { value: place };
  }

  const close = (a, b, digits) => a === b || own.distance(a, b) < own.power(10, -(digits === undefined ? 2 : digits)) / 2;
  const throwing = (value, expected, given) => {
    const found = given ? { error: value } : thrown(value);
    if (found === null) return false;
    if (own.isError(expected)) return own.messageOf(found.error) === expected.message;
    return matches(found.error, expected);
  };
  const matchers = {
    toBe: (a, b) => is(a, b),
    toEqual: (a, b) => deep(a, b, 'jest'),
    toStrictEqual: (a, b) => deep(a, b, 'strict'),
    toBeTruthy: (a) => Boolean(a),
    toBeFalsy: (a) => !a,
    toBeNull: (a) => a === null,
    toBeUndefined: (a) => a === undefined,
    toBeDefined: (a) => a !== undefined,
    toBeNaN: (a) => is(a, NaN),
    toBeGreaterThan: (a, b) => a > b,
    toBeGreaterThanOrEqual: (a, b) => a >= b,
    toBeLessThan: (a, b) => a < b,
    toBeLessThanOrEqual: (a, b) => a <= b,
    toBeCloseTo: (a, b, digits) => close(a, b, digits),
    toContain: (a, b) => contains(a, b, 'strict'),
    toContainEqual: (a, b) => contains(a, b, 'jest'),
    toHaveLength: (a, b) => a.length === b,
    toHaveProperty: (a, path, ...rest) => {
      const found = property(a, path);
      return found !== null && (rest.length === 0 || deep(found.value, rest[0], 'jest'));
    },
    toMatch: (a, b) => (typeof b === 'string' ? own.includes(a, b) : own.test(b, a)),
    toMatchObject: (a, b) => partly(a, b),
    toBeInstanceOf: (a, b) => own.isInstance(a, b),
    toThrow: (a, b, given) => throwing(a, b, given === own.given),
  };
  matchers.toThrowError = matchers.toThrow;
  const names = keysOf(matchers);

  function judged(actual, name, wanted, negated) {
    const holds = own.apply(matchers[name], undefined, own.append2(actual, wanted));
    if (holds !== negated) return;
    const expected = wanted.length ? ' ' + toText(wanted[0]) : '';
    fail('got ' + toText(actual) + ', expected ' + (negated ? 'not ' : '') + name + expected);
  }

  function asking(actual, negated, settle) {
    const asked = {};
    for (let i = 0; i < names.length; i += 1) {
      const name = names[i];
      asked[name] = settle === null
        ? (...wanted) => judged(actual, name, wanted, negated)
        : async (...wanted) => {
            const value = await settle(actual);
            judged(value, name, name === 'toThrow' || name === 'toThrowError' ? [wanted[0], own.given] : wanted, negated);
          };
    }
    return asked;
  }

  function expect(actual) {
    const asked = asking(actual, false, null);
    const rejects = async (value) => {
      const found = await rejected(value);
      if (found === null) fail('the promise was not rejected');
      return found.error;
    };
    const resolves = async (value) => value;
    asked.not = asking(actual, true, null);
    asked.rejects = asking(actual, false, rejects);
    asked.rejects.not = asking(actual, true, rejects);
    asked.resolves = asking(actual, false, resolves);
    asked.resolves.not = asking(actual, true, resolves);
    return asked;
  }

  own.freeze(AssertionError.prototype);
  for (const thing of [assert, strict, expect, AssertionError]) own.freeze(thing);
  return { assert, strict, expect, AssertionError, isEqual: (a, b) => deep(a, b, 'same'), isDeepStrictEqual: (a, b) => deep(a, b, 'strict') };
});

// TypeScript for the worker: one run of tsc turns a whole batch into JavaScript and tells the type errors.
//
// tsc's own output is used, not blanked-out types: it knows enums, namespaces and parameter properties, and comes for
// free with the type check. Lines are mapped back by its source maps (version 3, "mappings" in base 64 VLQ).
'use strict';
const fs = require('fs');
const { spawnSync } = require('child_process');

const FLAGS = ['--target', 'es2022', '--lib', 'es2023', '--module', 'esnext', '--moduleResolution', 'bundler', '--moduleDetection', 'force',
  '--types', '', '--strict', 'false', '--skipLibCheck', '--sourceMap', '--pretty', 'false', '--allowImportingTsExtensions', 'false'];
const SHIMS = 'shims.d.ts';
const SECONDS = 60;
const ERROR = /^(t\d+)\.ts\((\d+),(\d+)\): error (TS\d+): (.*)$/;
const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';

// The line of the source for every line of the output, both from 1.
function sourceLines(mappings) {
  const lines = [];
  let source = 0;
  for (const row of mappings.split(';')) {
    let first = null;
    for (const segment of row ? row.split(',') : []) {
      const numbers = decode(segment);
      if (numbers.length < 4) continue;
      source += numbers[2];
      if (first === null) first = source + 1;
    }
    lines.push(first === null ? lines[lines.length - 1] || 1 : first);
  }
  return lines;
}

function decode(segment) {
  const numbers = [];
  let value = 0;
  let shift = 0;
  for (const letter of segment) {
    const digit = LETTERS.indexOf(letter);
    value |= (digit & 31) << shift;
    shift += 5;
    if (digit & 32) continue;
    numbers.push(value & 1 ? -(value >>> 1) : value >>> 1);
    value = 0;
    shift = 0;
  }
  return numbers;
}

const remove = (names) => { for (const name of names) fs.rmSync(name, { force: true }); };

exports.make = (tsc) => {
  fs.copyFileSync('typescript_shims.txt', SHIMS);

  function run(names) {
    const done = spawnSync(tsc, [...FLAGS, SHIMS, ...names.map((name) => `${name}.ts`)], { encoding: 'utf8', timeout: SECONDS * 1000, maxBuffer: 1 << 26 });
    if (done.error) throw done.error;
    const errors = {};
    for (const line of done.stdout.split('\n')) {
      const told = ERROR.exec(line);
      if (told) (errors[told[1]] = errors[told[1]] || []).push({ line: Number(told[2]), column: Number(told[3]), code: told[4], message: told[5] });
    }
    return errors;
  }

  function result(name, errors) {
    const code = fs.readFileSync(`${name}.js`, 'utf8').replace(/^export \{\};$/m, '').replace(/^\/\/# sourceMappingURL=.*$/m, '');
    const lines = sourceLines(JSON.parse(fs.readFileSync(`${name}.js.map`, 'utf8')).mappings);
    const syntax = errors.find((error) => /^TS1\d{3}$/.test(error.code)) || null;
    return {
      code,
      problem: syntax && { line: syntax.line, column: syntax.column, message: syntax.message },
      evidence: errors[0] ? { line: errors[0].line, message: errors[0].message } : null,
      lineOf: (line) => lines[Math.min(line, lines.length) - 1] || 1,
    };
  }

  return {
    translate(texts) {
      const names = texts.map((_, index) => `t${index}`);
      texts.forEach((text, index) => fs.writeFileSync(`t${index}.ts`, text));
      const errors = run(names);
      const results = names.map((name) => result(name, errors[name] || []));
      remove(names.flatMap((name) => [`${name}.ts`, `${name}.js`, `${name}.js.map`]));
      return results;
    },
  };
};

// A reporter for node's own test runner: one JSON object a line into the file AGD_NODE_TALE, written as the tests end.
//   {type: "open" | "start" | "pass" | "fail" | "done", name, nesting, line, suite, skip, seconds, assertion, message}
import { appendFileSync } from "node:fs";

const tale = (record) => appendFileSync(process.env.AGD_NODE_TALE, JSON.stringify(record) + "\n");
tale({ type: "open" });

const told = (event) => {
  const data = event.data;
  const error = data.details?.error;
  const cause = error?.cause ?? error;
  return {
    type: event.type.slice(5),
    name: data.name,
    nesting: data.nesting,
    line: data.line ?? null,
    suite: data.details?.type === "suite",
    skip: data.skip !== undefined || data.todo !== undefined,
    seconds: (data.details?.duration_ms ?? 0) / 1000,
    assertion: cause?.code === "ERR_ASSERTION",
    message: error ? String(cause?.stack ?? cause?.message ?? cause) : String(data.skip || data.todo || ""),
  };
};

export default async function* reporter(source) {
  for await (const event of source) {
    if (["test:start", "test:pass", "test:fail"].includes(event.type)) {
      tale(told(event));
    }
  }
  tale({ type: "done" });
}

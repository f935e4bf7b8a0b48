"use strict";
/** The worker of the benchmarks: its only task waits. */
const { sdk } = require("./measure.js");

const jf = new (sdk().JobForge)();
exports.wait = jf.task(
  "benchmark.wait",
  ({ ms }, { signal }) =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(resolve, ms);
      signal.addEventListener("abort", () => {
        clearTimeout(timer);
        reject(signal.reason);
      });
    }),
);

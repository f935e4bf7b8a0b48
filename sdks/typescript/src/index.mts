// The same classes for `import`: one copy of them, so that `instanceof` holds across both kinds of modules.
export * from "./index.js";

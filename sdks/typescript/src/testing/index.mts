// The same classes for `import`.
export * from "./index.js";

export { TestContext } from "./context.js";
export { inMemory, type MemoryQueue } from "./memory.js";
export { TestServer, type TestServerOptions } from "./server.js";

/** Where a worker says what it does. Any logger with these methods fits, such as `console` or pino. */
export interface Logger {
  info(message: string): void;
  warn(message: string): void;
  error(message: string): void;
}

/** Writes lines to standard error, for standard output belongs to the program. */
export const stderrLogger: Logger = {
  info: (message) => write("INFO", message),
  warn: (message) => write("WARN", message),
  error: (message) => write("ERROR", message),
};

function write(level: string, message: string): void {
  process.stderr.write(line(level, message));
}

/** One line of the log as {@link stderrLogger} writes it. */
export function line(level: string, message: string): string {
  return `${new Date().toISOString()} ${level} ${message}\n`;
}

/** JSON logs on stdout, one object a line. */
import { type Logger as PinoLogger, pino } from 'pino';

export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** A pino logger: `log.info({ requestId, ms }, 'call')`. */
export type Logger = PinoLogger;

export interface LoggerOptions {
  /** The service; field `name` of every line. */
  readonly name: string;
  /** Default "info". */
  readonly level?: LogLevel;
  /** Where lines go; default stdout. */
  readonly destination?: { write(line: string): void };
}

/** Keys whose values never reach a log, at the top level or one level down. */
const secretKeys = ['authorization', 'cookie', 'token', 'joinToken', 'secret', 'password', 'apiKey'];

/** A logger that writes synchronously, so that the last line before an exit is not lost. */
export function createLogger({ name, level = 'info', destination }: LoggerOptions): Logger {
  const options = {
    name,
    level,
    base: { name, pid: process.pid },
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
    redact: {
      paths: secretKeys.flatMap((key) => [key, `*.${key}`, `*.*.${key}`]),
      censor: '[redacted]',
    },
  };
  return destination === undefined
    ? pino(options, pino.destination({ dest: 1, sync: true }))
    : pino(options, destination);
}

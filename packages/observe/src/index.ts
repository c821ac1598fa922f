/** What every process shows of itself: logs, traces, metrics, an admin port; and how it starts and stops. */
export { type Admin, type AdminOptions, startAdmin } from './admin.ts';
export {
  ConfigError,
  type Env,
  envBoolean,
  envBytes,
  envChoice,
  envInt,
  envList,
  envNumber,
  envString,
  LOOPBACK,
} from './env.ts';
export { type FollowFilesOptions, followFiles } from './follow-files.ts';
export { createLogger, LOG_LEVELS, type Logger, type LoggerOptions, type LogLevel } from './logger.ts';
export { type Counter, createMetrics, type Gauge, type Histogram, type Metrics } from './metrics.ts';
export {
  type EnvDoc,
  type RunContext,
  type RunningService,
  runService,
  type ServiceDefinition,
} from './run.ts';
export {
  childOf,
  formatTraceparent,
  newTrace,
  parseTraceparent,
  type RandomBytes,
  type TraceContext,
} from './trace.ts';

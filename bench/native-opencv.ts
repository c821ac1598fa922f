/** The peer process of bench/operations.ts: native-opencv.py, asked line by line. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export interface NativeOpencv {
  /** OpenCV's version. */
  readonly version: string;
  /** Wall and CPU ms of a call; undefined for an operation that the script does not know. */
  measure(
    operation: string,
    path: string,
    calls: number,
  ): Promise<{ readonly ms: number; readonly cpu: number } | undefined>;
  stop(): void;
}

/** Undefined where that Python has no OpenCV. */
export async function startNativeOpencv(python: string): Promise<NativeOpencv | undefined> {
  const script = fileURLToPath(new URL('./native-opencv.py', import.meta.url));
  const child = spawn(python, [script], { stdio: ['pipe', 'pipe', 'ignore'] });
  child.on('error', () => {});
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const answer = async () => {
    const { value, done } = await lines.next();
    return done ? undefined : JSON.parse(value);
  };
  const hello = await answer();
  if (hello === undefined) return undefined;
  return {
    version: hello.version,
    async measure(operation, source, calls) {
      child.stdin.write(`${JSON.stringify({ operation, source, calls })}\n`);
      const figures = await answer();
      if (figures === undefined) throw new Error(`native OpenCV ended at ${operation}`);
      return 'ms' in figures ? figures : undefined;
    },
    stop() {
      child.stdin.end();
    },
  };
}

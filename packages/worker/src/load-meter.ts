/** CPU and memory of this process, for load reports. */
export interface Load {
  /** Since the last reading, in cores. */
  readonly cpuCores: number;
  readonly residentBytes: bigint;
}

export interface LoadMeter {
  read(): Load;
}

/** Several balancers ask one after the other; shorter spans than this say nothing. */
const minSpanMs = 50;

export function createLoadMeter(): LoadMeter {
  let lastCpu = process.cpuUsage();
  let lastMs = performance.now();
  let cpuCores = 0;
  return {
    read: () => {
      const nowMs = performance.now();
      const elapsedMs = nowMs - lastMs;
      if (elapsedMs >= minSpanMs) {
        const spent = process.cpuUsage(lastCpu);
        cpuCores = (spent.user + spent.system) / 1000 / elapsedMs;
        lastCpu = process.cpuUsage();
        lastMs = nowMs;
      }
      return { cpuCores, residentBytes: BigInt(process.memoryUsage.rss()) };
    },
  };
}

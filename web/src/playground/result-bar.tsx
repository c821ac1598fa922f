/** What came out: its size beside the original's, the time, who did it. */
import type { TransformReport } from '@imagemesh/api';
import { formatNames, workerName } from '../mesh/names.ts';
import { bytesText, changeText, durationText } from '../ui/format.ts';
import type { Result } from './run.ts';
import type { Source } from './source.ts';

export function ResultBar({ source, result }: { source: Source; result: Result }) {
  const { info, report, bytes, roundTripMs } = result;
  return (
    <dl class="facts">
      <Fact name="Size">
        <output data-testid="result-size">{bytesText(bytes.length)}</output>{' '}
        <span class="soft">{changeText(source.bytes.length, bytes.length)}</span>
      </Fact>
      <Fact name="Dimensions">
        {info.width} × {info.height}
        {info.frames > 1 && <span class="soft"> · {info.frames} frames</span>}
      </Fact>
      <Fact name="Format">
        {formatNames(info.format).name}
        {report?.encoding !== undefined && report.encoding.quality > 0 && (
          <span class="soft"> · quality {report.encoding.quality}</span>
        )}
      </Fact>
      <Fact name="Time">
        {durationText(report?.durationMs ?? roundTripMs)}{' '}
        <span class="soft">· {durationText(roundTripMs)} here</span>
      </Fact>
      {report && (
        <div class="fact wide">
          <dt>Done by</dt>
          <dd>
            <Stages report={report} />
          </dd>
        </div>
      )}
    </dl>
  );
}

function Fact({ name, children }: { name: string; children: preact.ComponentChildren }) {
  return (
    <div class="fact">
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}

/** The way of the image through the replicas. */
function Stages({ report }: { report: TransformReport }) {
  return (
    <ol class="stages">
      {report.stages.map((stage, at) => (
        <li key={`${at}-${stage.replicaId}`} data-worker={workerName(stage.worker)}>
          <span class="mono">{stage.replicaId}</span>{' '}
          <span class="soft">
            {stage.operations.length > 0 ? stage.operations.join(', ') : 'encode'} ·{' '}
            {durationText(stage.execMs)}
          </span>
        </li>
      ))}
    </ol>
  );
}

/** One stage of work, JPEG to JPEG, at a replica or at a balancer. */
import { create, fromBinary, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import {
  Format,
  type OperationSchema,
  OutputSchema,
  ResizeRequestSchema,
  ResizeResponseSchema,
} from '@imagemesh/api';
import { openWireCall, type SessionPool } from '@imagemesh/rpc';

const paths = {
  resize: '/imagemesh.v1.ResizeService/Resize',
  filter: '/imagemesh.v1.FilterService/Filter',
};
const output = create(OutputSchema, { format: Format.JPEG });

/** Resolves with the size of the result in bytes. FilterRequest is the same on the wire as ResizeRequest. */
export async function stageCall(
  pool: SessionPool,
  service: keyof typeof paths,
  operations: MessageInitShape<typeof OperationSchema>[],
  source: Buffer,
): Promise<number> {
  const call = openWireCall(pool, { path: paths[service], metadata: { 'im-op': service, 'im-cost': '20' } });
  const spec = create(ResizeRequestSchema, {
    message: {
      case: 'spec',
      value: {
        content: { case: 'encoded', value: { format: Format.JPEG } },
        sizeBytes: BigInt(source.byteLength),
        operations,
        result: { case: 'output', value: output },
      },
    },
  });
  await call.writer.message(toBinary(ResizeRequestSchema, spec));
  await call.writer.chunks(source);
  call.end();
  const first = await call.reader.message();
  const message = first && fromBinary(ResizeResponseSchema, first).message;
  if (message?.case !== 'header') throw await call.status.then(() => new Error('no header came'));
  const bytes = Buffer.allocUnsafe(Number(message.value.sizeBytes));
  await call.reader.chunksInto(bytes);
  await call.status;
  return bytes.byteLength;
}

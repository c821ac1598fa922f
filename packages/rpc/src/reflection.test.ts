/** Reflection, by a client that knows no descriptor but its own, and by buf curl. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { fromBinary } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema } from '@bufbuild/protobuf/wkt';
import { ImageService, reflectionV1, reflectionV1Alpha } from '@imagemesh/api';
import { afterEach, describe, expect, it } from 'vitest';
import { createGrpcClient } from './clients.ts';
import { createHealth } from './health.ts';
import { standardInterceptors } from './interceptors.ts';
import { reflectionRoutes } from './reflection.ts';
import { startRpcServer } from './server.ts';

const run = promisify(execFile);
const buf = fileURLToPath(new URL('../../../node_modules/.bin/buf', import.meta.url));
const cleanups: (() => unknown)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function start(): Promise<string> {
  const server = await startRpcServer({
    routes: (router) => {
      router.service(ImageService, { transform: () => ({ data: Buffer.from('hi') }) });
      createHealth([]).routes(router);
      reflectionRoutes(router, [ImageService]);
    },
    interceptors: standardInterceptors(),
  });
  cleanups.push(() => server.close(0));
  return `127.0.0.1:${server.port}`;
}

async function ask(address: string, messageRequest: reflectionV1.ServerReflectionRequest['messageRequest']) {
  const client = createGrpcClient(reflectionV1.ServerReflection, address);
  try {
    const call = client.serverReflectionInfo();
    await call.send({ messageRequest });
    call.end();
    for await (const { messageResponse } of call.messages) return messageResponse;
    throw new Error('no answer');
  } finally {
    client.close();
  }
}

function fileNames(answer: Awaited<ReturnType<typeof ask>>): string[] {
  if (answer.case !== 'fileDescriptorResponse') throw new Error(`got ${answer.case}`);
  return answer.value.fileDescriptorProto.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes).name);
}

describe('reflection', () => {
  it('lists the services, health and itself', async () => {
    const answer = await ask(await start(), { case: 'listServices', value: '' });
    expect(answer).toMatchObject({
      case: 'listServicesResponse',
      value: {
        service: [
          { name: 'grpc.health.v1.Health' },
          { name: 'grpc.reflection.v1.ServerReflection' },
          { name: 'grpc.reflection.v1alpha.ServerReflection' },
          { name: 'imagemesh.v1.ImageService' },
        ],
      },
    });
  });

  it('finds files by name, symbol, method, field and extension', async () => {
    const address = await start();
    const operation = 'imagemesh/v1/operation.proto';
    expect(fileNames(await ask(address, { case: 'fileByFilename', value: operation }))).toEqual([operation]);
    const symbols = ['imagemesh.v1.Resize', 'imagemesh.v1.Resize.width', 'imagemesh.v1.Fit'];
    for (const value of symbols) {
      expect(fileNames(await ask(address, { case: 'fileContainingSymbol', value }))).toEqual([operation]);
    }
    const method = { case: 'fileContainingSymbol', value: 'imagemesh.v1.ImageService.Transform' } as const;
    expect(fileNames(await ask(address, method))).toEqual(['imagemesh/v1/image_service.proto']);
    const numbers = await ask(address, {
      case: 'allExtensionNumbersOfType',
      value: 'google.protobuf.FieldOptions',
    });
    if (numbers.case !== 'allExtensionNumbersResponse') throw new Error(`got ${numbers.case}`);
    expect(numbers.value.extensionNumber).toContain(1159);
  });

  it('says what it does not find', async () => {
    const answer = await ask(await start(), { case: 'fileContainingSymbol', value: 'no.Such' });
    expect(answer).toMatchObject({ case: 'errorResponse', value: { errorCode: 5 } });
  });

  it('speaks v1alpha too', async () => {
    const client = createGrpcClient(reflectionV1Alpha.ServerReflection, await start());
    cleanups.push(() => client.close());
    const call = client.serverReflectionInfo();
    await call.send({ host: 'h', messageRequest: { case: 'listServices', value: '' } });
    call.end();
    const answers = [];
    for await (const answer of call.messages) answers.push(answer);
    expect(answers).toMatchObject([
      { validHost: 'h', originalRequest: { host: 'h' }, messageResponse: { case: 'listServicesResponse' } },
    ]);
  });

  it('is enough for buf curl to list and to call', async () => {
    const address = await start();
    const options = { timeout: 12_000 };
    const plain = ['curl', '--http2-prior-knowledge', '--protocol', 'grpc'];
    const list = await run(buf, [...plain, '--list-methods', `http://${address}`], options);
    expect(list.stdout).toContain('imagemesh.v1.ImageService/Transform');
    expect(list.stdout).toContain('grpc.health.v1.Health/Check');
    const data = JSON.stringify({ source: { data: 'eA==' } });
    const url = `http://${address}/imagemesh.v1.ImageService/Transform`;
    const call = await run(buf, [...plain, '--data', data, url], options);
    expect(JSON.parse(call.stdout)).toEqual({ data: Buffer.from('hi').toString('base64') });
  });
});

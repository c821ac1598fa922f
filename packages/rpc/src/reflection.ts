/**
 * gRPC server reflection, v1 and v1alpha (https://github.com/grpc/grpc/blob/master/doc/server-reflection.md), so that
 * grpcurl and buf curl need no proto files. Serves the original descriptor bytes, options and extensions included.
 */
import {
  create,
  createFileRegistry,
  type DescFile,
  type DescService,
  fromBinary,
  type MessageInitShape,
  toBinary,
} from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { Code, type ConnectRouter } from '@connectrpc/connect';
import { health, reflectionV1, reflectionV1Alpha } from '@imagemesh/api';
import { errorDetails } from './error-details.ts';

type Request = reflectionV1.ServerReflectionRequest['messageRequest'];
type Reply = NonNullable<
  MessageInitShape<typeof reflectionV1.ServerReflectionResponseSchema>['messageResponse']
>;

/** Answers to one client, then the stream ends; a client asks one thing per symbol. */
const maxRequestsPerStream = 10_000;

/** Lists the services given, health and reflection themselves. */
export function reflectionRoutes(router: ConnectRouter, services: readonly DescService[]): void {
  const all = [...services, health.Health, reflectionV1.ServerReflection, reflectionV1Alpha.ServerReflection];
  const answer = createReflector(all);
  router.service(reflectionV1.ServerReflection, {
    serverReflectionInfo: (requests) => answerAll(requests, answer),
  });
  router.service(reflectionV1Alpha.ServerReflection, {
    serverReflectionInfo: async function* (requests) {
      for await (const reply of answerAll(fromAlpha(requests), answer)) yield toAlpha(reply);
    },
  });
}

async function* answerAll(
  requests: AsyncIterable<reflectionV1.ServerReflectionRequest>,
  answer: (request: Request) => Reply,
): AsyncIterable<reflectionV1.ServerReflectionResponse> {
  let count = 0;
  for await (const originalRequest of requests) {
    if (++count > maxRequestsPerStream) return;
    yield create(reflectionV1.ServerReflectionResponseSchema, {
      validHost: originalRequest.host,
      originalRequest,
      messageResponse: answer(originalRequest.messageRequest),
    });
  }
}

/** v1alpha is v1 under another name: the same bytes. */
async function* fromAlpha(
  requests: AsyncIterable<reflectionV1Alpha.ServerReflectionRequest>,
): AsyncIterable<reflectionV1.ServerReflectionRequest> {
  for await (const request of requests) {
    const bytes = toBinary(reflectionV1Alpha.ServerReflectionRequestSchema, request);
    yield fromBinary(reflectionV1.ServerReflectionRequestSchema, bytes);
  }
}

function toAlpha(reply: reflectionV1.ServerReflectionResponse): reflectionV1Alpha.ServerReflectionResponse {
  const bytes = toBinary(reflectionV1.ServerReflectionResponseSchema, reply);
  return fromBinary(reflectionV1Alpha.ServerReflectionResponseSchema, bytes);
}

function createReflector(services: readonly DescService[]) {
  const names = [...new Set(services.map((service) => service.typeName))].sort();
  const files = new Map<string, DescFile>();
  const bytes = new Map<string, Uint8Array>();
  for (const service of services) addFile(service.file);
  // No method mentions them: they travel as Any in a Status.
  for (const detail of errorDetails) addFile(detail.file);
  const registry = createFileRegistry(
    create(FileDescriptorSetSchema, { file: [...files.values()].map((file) => file.proto) }),
  );

  function addFile(file: DescFile): void {
    if (files.has(file.proto.name)) return;
    for (const dependency of file.dependencies) addFile(dependency);
    files.set(file.proto.name, file);
    bytes.set(file.proto.name, toBinary(FileDescriptorProtoSchema, file.proto));
  }

  function fileReply(file: DescFile | undefined, what: string): Reply {
    const descriptor = file === undefined ? undefined : bytes.get(file.proto.name);
    if (descriptor === undefined) return failure(Code.NotFound, `${what} not found`);
    return {
      case: 'fileDescriptorResponse',
      value: { fileDescriptorProto: [descriptor] },
    };
  }

  function fileOfSymbol(symbol: string): DescFile | undefined {
    const direct = registry.get(symbol)?.file;
    if (direct !== undefined) return direct;
    // A method, field or enum value: its parent's file.
    const parent = symbol.slice(0, Math.max(0, symbol.lastIndexOf('.')));
    return parent === '' ? undefined : registry.get(parent)?.file;
  }

  function extensionsOf(typeName: string) {
    return [...registry].filter((type) => type.kind === 'extension' && type.extendee.typeName === typeName);
  }

  return (request: Request): Reply => {
    switch (request.case) {
      case 'listServices':
        return { case: 'listServicesResponse', value: { service: names.map((name) => ({ name })) } };
      case 'fileByFilename':
        return fileReply(files.get(request.value), `file ${shown(request.value)}`);
      case 'fileContainingSymbol':
        return fileReply(fileOfSymbol(request.value), `symbol ${shown(request.value)}`);
      case 'fileContainingExtension': {
        const { containingType, extensionNumber } = request.value;
        const found = extensionsOf(containingType).find(
          (type) => type.kind === 'extension' && type.number === extensionNumber,
        );
        return fileReply(found?.file, `extension ${extensionNumber} of ${shown(containingType)}`);
      }
      case 'allExtensionNumbersOfType': {
        if (registry.getMessage(request.value) === undefined) {
          return failure(Code.NotFound, `type ${shown(request.value)} not found`);
        }
        const extensionNumber = extensionsOf(request.value).flatMap((type) =>
          type.kind === 'extension' ? [type.number] : [],
        );
        return {
          case: 'allExtensionNumbersResponse',
          value: { baseTypeName: request.value, extensionNumber },
        };
      }
      case undefined:
        return failure(Code.InvalidArgument, 'the request asks for nothing');
      default: {
        const never: never = request;
        return never;
      }
    }
  };
}

function failure(errorCode: number, errorMessage: string): Reply {
  return { case: 'errorResponse', value: { errorCode, errorMessage } };
}

function shown(name: string): string {
  return JSON.stringify(name.slice(0, 200));
}

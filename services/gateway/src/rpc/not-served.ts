/** RPCs of the API that no code stands behind yet: each says so by name, made from the descriptors. */
import type { DescMethod, DescService } from '@bufbuild/protobuf';
import { MeshError, type ServiceImpl } from '@imagemesh/rpc';

/** Implementations for every method of the service that `served` leaves out. */
export function withNotServed<Service extends DescService>(
  service: Service,
  served: Partial<ServiceImpl<Service>>,
): Partial<ServiceImpl<Service>> {
  const rest = service.methods
    .filter(({ localName }) => !Object.hasOwn(served, localName))
    .map((method) => [method.localName, refuse(method)] as const);
  // Every method refuses alike, whatever it takes and returns; the descriptor cannot tell the compiler so.
  return { ...(Object.fromEntries<unknown>(rest) as Partial<ServiceImpl<Service>>), ...served };
}

function refuse({ name, parent, methodKind }: DescMethod) {
  const error = () =>
    new MeshError('NOT_IMPLEMENTED', `${name} of ${parent.typeName} is not served here`, {
      metadata: { method: `${parent.typeName}/${name}` },
    });
  if (methodKind === 'unary' || methodKind === 'client_streaming') {
    return async () => {
      throw error();
    };
  }
  // biome-ignore lint/correctness/useYield: a stream that ends with an error before its first message
  return async function* () {
    throw error();
  };
}

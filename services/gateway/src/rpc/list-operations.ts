/** ImageService.ListOperations: the catalogue. Its operations do not change while a gateway runs. */
import { create } from '@bufbuild/protobuf';
import {
  type ImageUrls,
  type ListOperationsRequest,
  type ListOperationsResponse,
  ListOperationsResponseSchema,
} from '@imagemesh/api';
import { listOperations as describe, listOutputParameters } from '../catalogue.ts';
import type { Unary } from './call-shapes.ts';

export function listOperations(
  imageUrls: () => ImageUrls,
): Unary<ListOperationsRequest, ListOperationsResponse> {
  const response = create(ListOperationsResponseSchema, {
    operations: [...describe()],
    outputParameters: [...listOutputParameters()],
  });
  return async () => ({ ...response, imageUrls: imageUrls() });
}

/** ImageService.ListOperations: the catalogue. It does not change while a gateway runs. */
import { create } from '@bufbuild/protobuf';
import {
  type ListOperationsRequest,
  type ListOperationsResponse,
  ListOperationsResponseSchema,
} from '@imagemesh/api';
import { listOperations as describe, listOutputParameters } from '../catalogue.ts';
import type { Unary } from './call-shapes.ts';

export function listOperations(): Unary<ListOperationsRequest, ListOperationsResponse> {
  const response = create(ListOperationsResponseSchema, {
    operations: [...describe()],
    outputParameters: [...listOutputParameters()],
  });
  return async () => response;
}

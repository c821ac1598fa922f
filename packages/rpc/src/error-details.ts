/** The details that errors of the mesh carry: needed to turn a google.rpc.Status, in a job or an event, into JSON and back. */
import { createRegistry } from '@bufbuild/protobuf';
import {
  BadRequestSchema,
  ErrorInfoSchema,
  QuotaFailureSchema,
  ResourceInfoSchema,
  RetryInfoSchema,
} from '@imagemesh/api';

export const errorDetails = createRegistry(
  BadRequestSchema,
  ErrorInfoSchema,
  QuotaFailureSchema,
  ResourceInfoSchema,
  RetryInfoSchema,
);

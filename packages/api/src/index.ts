/**
 * The generated types of the API: messages, enums and services of imagemesh.v1, and of the standard
 * protocols it uses (google.rpc, grpc.health.v1, grpc.reflection). Beside them, made of their descriptors: the operation
 * syntax of URLs; and the checksum of chunks.
 */

export { crc32c } from './crc32c.ts';
export { type FieldRules as ValidationRules, field } from './gen/buf/validate/validate_pb.ts';
export * from './gen/google/rpc/error_details_pb.ts';
export { type Status, StatusSchema } from './gen/google/rpc/status_pb.ts';
export * as health from './gen/grpc/health/v1/health_pb.ts';
export * as reflectionV1 from './gen/grpc/reflection/v1/reflection_pb.ts';
export * as reflectionV1Alpha from './gen/grpc/reflection/v1alpha/reflection_pb.ts';
export * from './gen/imagemesh/v1/balancer_service_pb.ts';
export * from './gen/imagemesh/v1/color_pb.ts';
export * from './gen/imagemesh/v1/event_pb.ts';
export * from './gen/imagemesh/v1/filter_pb.ts';
export * from './gen/imagemesh/v1/geometry_pb.ts';
export * from './gen/imagemesh/v1/image_pb.ts';
export * from './gen/imagemesh/v1/image_service_pb.ts';
export * from './gen/imagemesh/v1/job_service_pb.ts';
export * from './gen/imagemesh/v1/operation_pb.ts';
export * from './gen/imagemesh/v1/options_pb.ts';
export * from './gen/imagemesh/v1/overlay_pb.ts';
export * from './gen/imagemesh/v1/upload_service_pb.ts';
export * from './gen/imagemesh/v1/worker_pb.ts';
export * as syntax from './syntax/index.ts';

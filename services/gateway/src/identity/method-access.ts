/** What each RPC asks of a key. The compiler and a test hold the table complete; a method that is not in it nobody may call. */
import { BalancerService, ImageService, JobService, UploadService } from '@imagemesh/api';
import type { Scope } from '@imagemesh/keys';

/** `open`: no key. `closed`: no key will do. */
export type Access = Scope | 'open' | 'closed';

type Methods<Service extends { readonly method: object }> = Readonly<Record<keyof Service['method'], Access>>;

const image: Methods<typeof ImageService> = {
  transform: 'transform',
  transformStream: 'transform',
  render: 'transform',
  explainTransform: 'transform',
  analyzeImage: 'transform',
  detectFaces: 'transform',
  uploadImage: 'upload',
  deleteImage: 'upload',
  getImage: 'read',
  listImages: 'read',
  downloadImage: 'read',
  // Says no more than reflection does.
  listOperations: 'open',
};

const upload: Methods<typeof UploadService> = {
  startUpload: 'upload',
  writeChunk: 'upload',
  queryUpload: 'upload',
  finishUpload: 'upload',
  cancelUpload: 'upload',
};

const job: Methods<typeof JobService> = {
  createJob: 'jobs',
  getJob: 'jobs',
  listJobs: 'jobs',
  cancelJob: 'jobs',
  retryJob: 'jobs',
  watchJob: 'jobs',
  watchJobs: 'jobs',
  watchEvents: 'jobs',
};

const balancer: Methods<typeof BalancerService> = {
  listReplicas: 'read',
  watchReplicas: 'read',
  drainReplica: 'admin',
  join: 'closed',
};

/** Services that describe and probe: generated clients and load balancers need them before they have a key. */
const openServices: ReadonlySet<string> = new Set([
  'grpc.health.v1.Health',
  'grpc.reflection.v1.ServerReflection',
  'grpc.reflection.v1alpha.ServerReflection',
]);

const access: ReadonlyMap<string, Access> = new Map(
  [
    { service: ImageService, methods: image },
    { service: UploadService, methods: upload },
    { service: JobService, methods: job },
    { service: BalancerService, methods: balancer },
  ].flatMap(({ service, methods }) => {
    const byName: Readonly<Record<string, Access>> = methods;
    return service.methods.map(
      ({ localName, name }) => [`/${service.typeName}/${name}`, byName[localName] ?? 'closed'] as const,
    );
  }),
);

/** By path: "/imagemesh.v1.ImageService/Transform". */
export function accessOfMethod(path: string): Access {
  return access.get(path) ?? (openServices.has(path.split('/')[1] ?? '') ? 'open' : 'closed');
}

/** The RPCs of the gateway: which there are, and by which way each is reached. */
import { BalancerService, ImageService, type ImageUrls, JobService, UploadService } from '@imagemesh/api';
import type { EventFeed, EventPublisher } from '@imagemesh/events';
import type { ImageLimits } from '@imagemesh/image';
import {
  type ConnectRouter,
  type ServerWireCall,
  type StreamHandler,
  type WireHandlerOptions,
  wireHandler,
} from '@imagemesh/rpc';
import type { BlobStore, Claims } from '@imagemesh/store';
import type { Balancers } from '../balancers.ts';
import type { Enter } from '../identity/enter.ts';
import { accessOfMethod } from '../identity/method-access.ts';
import type { Jobs } from '../jobs/jobs.ts';
import type { Measurements } from '../measurements.ts';
import type { MemoryBudget } from '../memory-budget.ts';
import type { Render } from '../render.ts';
import type { ReplicaFeed } from '../replica-feed.ts';
import type { ResumableUploads } from '../resumable-uploads.ts';
import type { StoreImage } from '../store-image.ts';
import type { Transforms } from '../transforms.ts';
import { analyzeImage } from './analyze-image.ts';
import { cancelJob } from './cancel-job.ts';
import { cancelUpload } from './cancel-upload.ts';
import { createJob } from './create-job.ts';
import { deleteImage } from './delete-image.ts';
import { detectFaces } from './detect-faces.ts';
import { downloadImage } from './download-image.ts';
import { drainReplica } from './drain-replica.ts';
import { explainTransform } from './explain-transform.ts';
import { finishUpload } from './finish-upload.ts';
import { getImage } from './get-image.ts';
import { getJob } from './get-job.ts';
import { listImages } from './list-images.ts';
import { listJobs } from './list-jobs.ts';
import { listOperations } from './list-operations.ts';
import { listReplicas } from './list-replicas.ts';
import { withNotServed } from './not-served.ts';
import { connectDownload, connectTransfer, connectUnary, connectUpload, connectWatch } from './on-connect.ts';
import {
  incomingOnWire,
  type WireServe,
  wireDownload,
  wireTransfer,
  wireUnary,
  wireUpload,
} from './on-wire.ts';
import { queryUpload } from './query-upload.ts';
import { render } from './render.ts';
import { retryJob } from './retry-job.ts';
import { startUpload } from './start-upload.ts';
import { transform } from './transform.ts';
import { transformStream } from './transform-stream.ts';
import { uploadImage } from './upload-image.ts';
import { watchEvents } from './watch-events.ts';
import { watchJob } from './watch-job.ts';
import { watchJobs } from './watch-jobs.ts';
import { watchReplicas } from './watch-replicas.ts';
import { writeChunk } from './write-chunk.ts';

export interface RpcParts {
  readonly transforms: Transforms;
  readonly storeImage: StoreImage;
  readonly resumableUploads: ResumableUploads;
  readonly claims: Claims;
  readonly store: BlobStore;
  readonly events: EventPublisher;
  /** Undefined without NATS. */
  readonly eventFeed: EventFeed | undefined;
  readonly balancers: Balancers;
  readonly feed: ReplicaFeed;
  readonly jobs: Jobs;
  readonly render: Render;
  readonly measurements: Measurements;
  readonly imageLimits: ImageLimits;
  readonly imageUrls: () => ImageUrls;
  readonly limits: RpcLimits;
  readonly enter: Enter;
  readonly budgetOf: (connection: object) => MemoryBudget;
}

export interface RpcLimits {
  readonly maxInputBytes: number;
  /** A message with an image of that size in it, and its operations. */
  readonly maxMessageBytes: number;
  readonly maxUnaryResultBytes: number;
  readonly bodyTimeoutMs: number;
}

/** Every service of the API, for health and reflection. */
export const services = [ImageService, UploadService, JobService, BalancerService];

export function createRpcs(parts: RpcParts) {
  const { transforms, storeImage, claims, store, balancers, feed, jobs, limits, enter, budgetOf } = parts;
  const { bodyTimeoutMs } = limits;
  const { sources } = transforms;
  const image = {
    transform: transform(transforms, limits),
    transformStream: transformStream(transforms, store),
    uploadImage: uploadImage(storeImage, limits),
    downloadImage: downloadImage(claims, store),
    getImage: getImage(claims),
  };

  function routes(router: ConnectRouter): void {
    router.service(
      ImageService,
      withNotServed(ImageService, {
        transform: connectUnary(image.transform),
        transformStream: connectTransfer(image.transformStream, bodyTimeoutMs),
        uploadImage: connectUpload(image.uploadImage),
        downloadImage: connectDownload(image.downloadImage, bodyTimeoutMs),
        getImage: connectUnary(image.getImage),
        listImages: connectUnary(listImages(claims)),
        deleteImage: connectUnary(deleteImage(parts)),
        render: connectWatch(render(sources, parts.render, store)),
        analyzeImage: connectUnary(analyzeImage(sources, parts.measurements)),
        detectFaces: connectUnary(detectFaces(sources, parts.measurements)),
        listOperations: connectUnary(listOperations(parts.imageUrls)),
        explainTransform: connectUnary(explainTransform(sources, parts.imageLimits)),
      }),
    );
    router.service(
      JobService,
      withNotServed(JobService, {
        createJob: connectUnary(createJob(jobs)),
        getJob: connectUnary(getJob(jobs)),
        listJobs: connectUnary(listJobs(jobs)),
        cancelJob: connectUnary(cancelJob(jobs)),
        retryJob: connectUnary(retryJob(jobs)),
        watchJob: connectWatch(watchJob(jobs)),
        watchJobs: connectWatch(watchJobs(jobs)),
        watchEvents: connectWatch(watchEvents(parts.eventFeed)),
      }),
    );
    router.service(
      BalancerService,
      withNotServed(BalancerService, {
        listReplicas: connectUnary(listReplicas(balancers)),
        watchReplicas: connectWatch(watchReplicas(feed)),
        drainReplica: connectUnary(drainReplica(balancers)),
      }),
    );
    router.service(UploadService, {
      startUpload: connectUnary(startUpload(parts.resumableUploads)),
      writeChunk: connectUnary(writeChunk(parts.resumableUploads)),
      queryUpload: connectUnary(queryUpload(parts.resumableUploads)),
      finishUpload: connectUnary(finishUpload(parts.resumableUploads)),
      cancelUpload: connectUnary(cancelUpload(parts.resumableUploads)),
    });
  }

  /** The hot ones, for plain gRPC. */
  function streams(options: WireHandlerOptions): ReadonlyMap<string, StreamHandler> {
    const { method, typeName } = ImageService;
    const hot: readonly (readonly [name: string, serve: WireServe])[] = [
      [method.transform.name, wireUnary(method.transform, image.transform, limits)],
      [
        method.transformStream.name,
        wireTransfer(method.transformStream, image.transformStream, {
          ...limits,
          specOf: (message) => message,
        }),
      ],
      [
        method.uploadImage.name,
        wireUpload(method.uploadImage, image.uploadImage, { ...limits, specOf: (message) => message }),
      ],
      [method.downloadImage.name, wireDownload(method.downloadImage, image.downloadImage, limits)],
    ];
    return new Map(
      hot.map(([name, serve]) => {
        const path = `/${typeName}/${name}`;
        return [path, wireHandler(entered(path, serve), options)];
      }),
    );
  }

  /** Before anything of the body is read. */
  function entered(path: string, serve: WireServe) {
    const access = accessOfMethod(path);
    return async (wire: ServerWireCall): Promise<void> => {
      const { caller, leave } = enter(wire.headers, access);
      try {
        await serve(wire, incomingOnWire(wire, caller, budgetOf(wire.connection)));
      } finally {
        leave();
      }
    };
  }

  return { routes, streams };
}

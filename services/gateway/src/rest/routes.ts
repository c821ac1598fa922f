/** The routes of the HTTP side. openapi/document.ts describes them. */
import type { BlobStore, Claims } from '@imagemesh/store';
import type { Jobs } from '../jobs/jobs.ts';
import type { ResultCache } from '../result-cache.ts';
import type { StoreImage } from '../store-image.ts';
import type { FindPreset } from '../syntax/parse-operations.ts';
import type { Transforms } from '../transforms.ts';
import { imagesRoute } from './images.ts';
import { jobRoutes } from './job-routes.ts';
import { createJobRoutes } from './jobs.ts';
import { openApiRoute } from './openapi/route.ts';
import type { Route } from './route.ts';
import { signedImagesRoute } from './signed-images.ts';
import type { CheckSignature } from './signing.ts';
import { transformRoute } from './transform.ts';
import { uploadRoute } from './upload.ts';

export interface RestParts {
  readonly storeImage: StoreImage;
  readonly claims: Claims;
  readonly store: BlobStore;
  readonly transforms: Transforms;
  readonly jobs: Jobs;
  readonly cache: ResultCache;
  readonly checkSignature: CheckSignature;
  readonly findPreset: FindPreset;
  readonly now: () => number;
}

export function restRoutes(parts: RestParts): readonly Route[] {
  const { storeImage, claims, store, jobs, findPreset } = parts;
  return [
    uploadRoute(storeImage),
    transformRoute(parts),
    ...jobRoutes(createJobRoutes(jobs, findPreset), storeImage),
    imagesRoute(claims, store),
    signedImagesRoute(parts),
    openApiRoute(),
  ];
}

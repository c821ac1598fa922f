/** The calls of the mesh, over Connect in Protobuf's binary form. The one door to Connect. */
import { type Client, Code, ConnectError, createClient, type Interceptor } from '@connectrpc/connect';
import { createConnectTransport } from '@connectrpc/connect-web';
import { BalancerService, ImageService, JobService, UploadService } from '@imagemesh/api';
import type { ApiKey } from './api-key.ts';

export interface Clients {
  readonly images: Client<typeof ImageService>;
  readonly jobs: Client<typeof JobService>;
  readonly balancers: Client<typeof BalancerService>;
  readonly uploads: Client<typeof UploadService>;
  /** GETs a path of the gateway, with the key. */
  get(path: string, signal?: AbortSignal): Promise<Response>;
}

export function createClients(baseUrl: string, key: ApiKey): Clients {
  const headers = (): Record<string, string> =>
    key.current.value === '' ? {} : { authorization: `Bearer ${key.current.value}` };
  const withKey: Interceptor = (next) => async (request) => {
    const used = key.current.value;
    for (const [name, value] of Object.entries(headers())) request.header.set(name, value);
    try {
      return await next(request);
    } catch (error) {
      if (error instanceof ConnectError && error.code === Code.Unauthenticated) key.refused(used);
      throw error;
    }
  };
  const transport = createConnectTransport({ baseUrl, useBinaryFormat: true, interceptors: [withKey] });
  return {
    images: createClient(ImageService, transport),
    jobs: createClient(JobService, transport),
    balancers: createClient(BalancerService, transport),
    uploads: createClient(UploadService, transport),
    get: (path, signal) => fetch(path, { headers: headers(), ...(signal && { signal }) }),
  };
}

/** Where an S3 store is: `s3://bucket/prefix?endpoint=https://host:9000&region=eu-central-1`. */
import { ConfigError } from '@imagemesh/observe';

export interface S3Location {
  readonly bucket: string;
  /** Before every key: empty, or ending in a slash. */
  readonly prefix: string;
  /** Undefined: AWS. With one, the bucket is in the path and not in the host name. */
  readonly endpoint: string | undefined;
  readonly region: string;
}

const form =
  's3://<bucket>/<prefix>?endpoint=<url>&region=<region>, credentials in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY';
const bucketPattern = /^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/;
const prefixPattern = /^(?:[A-Za-z0-9._-]+\/)*$/;
const regionPattern = /^[a-z0-9-]{1,64}$/;

/** Throws ConfigError, without the URL in it: somebody may have put a secret there. */
export function parseS3Url(text: string): S3Location {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || url.protocol !== 's3:') throw wrong('it is no s3 URL');
  if (url.username !== '' || url.password !== '' || url.port !== '')
    throw wrong('only a bucket is before the path');
  for (const name of url.searchParams.keys()) {
    if (name !== 'endpoint' && name !== 'region')
      throw wrong(`it has a parameter besides endpoint and region`);
  }
  const bucket = url.hostname;
  const path = url.pathname.replace(/^\/+|\/+$/g, '');
  const prefix = path === '' ? '' : `${path}/`;
  const region = url.searchParams.get('region') ?? 'us-east-1';
  if (!bucketPattern.test(bucket)) throw wrong('the bucket is no name of one');
  if (!prefixPattern.test(prefix)) throw wrong('the prefix has other characters than A-Z a-z 0-9 . _ - /');
  if (!regionPattern.test(region)) throw wrong('the region is no name of one');
  return { bucket, prefix, region, endpoint: readEndpoint(url.searchParams.get('endpoint')) };
}

function readEndpoint(text: string | null): string | undefined {
  if (text === null) return undefined;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isFine =
    url !== undefined &&
    /^https?:$/.test(url.protocol) &&
    url.username === '' &&
    url.password === '' &&
    url.pathname === '/' &&
    url.search === '';
  if (!isFine) throw wrong('the endpoint is no http or https URL of a host alone');
  return url.origin;
}

function wrong(why: string): ConfigError {
  return new ConfigError(`STORE_URL is not understood: ${why}; the form is ${form}`);
}

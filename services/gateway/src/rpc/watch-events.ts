/** JobService.WatchEvents: the caller's events as they happen, everybody's for an admin. */
import { create, fromJson, type JsonReadOptions } from '@bufbuild/protobuf';
import { timestampFromMs } from '@bufbuild/protobuf/wkt';
import {
  ImageEventSchema,
  JobEventSchema,
  TransformEventSchema,
  type WatchEventsRequest,
  type WatchEventsResponse,
  WatchEventsResponseSchema,
} from '@imagemesh/api';
import { type CloudEvent, EVENT_TYPES, type EventFeed, isEventType } from '@imagemesh/events';
import { errorDetails, invalidField, MeshError } from '@imagemesh/rpc';
import type { Watch } from './call-shapes.ts';

/** `feed` is undefined where no NATS is configured. */
export function watchEvents(feed: EventFeed | undefined): Watch<WatchEventsRequest, WatchEventsResponse> {
  return async function* (request, { caller, owner, signal }) {
    if (feed === undefined)
      throw new MeshError(
        'NATS_UNAVAILABLE',
        'the gateway runs without NATS, and so without events (NATS_URL)',
      );
    const query = {
      types: request.types.map(checkType),
      subjects: request.subjects,
      owner: caller.scopes.has('admin') ? undefined : owner,
      afterSequence: Number(request.afterSequence),
    };
    for await (const { sequence, event } of feed.follow(query, signal)) {
      const response = toResponse(sequence, event);
      if (response !== undefined) yield response;
    }
  };
}

function checkType(type: string, at: number) {
  if (isEventType(type)) return type;
  throw invalidField(`types[${at}]`, `there is no such type; there are ${EVENT_TYPES.join(', ')}`);
}

/** Undefined for data that is not as the API says: not published by the mesh. */
function toResponse(sequence: number, event: CloudEvent | undefined): WatchEventsResponse | undefined {
  if (event === undefined) return create(WatchEventsResponseSchema, { sequence: BigInt(sequence) });
  try {
    const { id, type, subject, time, owner = '' } = event;
    return create(WatchEventsResponseSchema, {
      ...{ id, type, subject, owner },
      sequence: BigInt(sequence),
      time: timestampFromMs(Date.parse(time)),
      data: readData(event),
    });
  } catch {
    return undefined;
  }
}

const lenient: Partial<JsonReadOptions> & { registry: typeof errorDetails } = {
  registry: errorDetails,
  ignoreUnknownFields: true,
};

function readData({ type, data }: CloudEvent): WatchEventsResponse['data'] {
  switch (type) {
    case 'imagemesh.image.uploaded':
    case 'imagemesh.image.deleted':
      return { case: 'image', value: fromJson(ImageEventSchema, data, lenient) };
    case 'imagemesh.transform.completed':
      return { case: 'transform', value: fromJson(TransformEventSchema, data, lenient) };
    default:
      return { case: 'job', value: fromJson(JobEventSchema, data, lenient) };
  }
}

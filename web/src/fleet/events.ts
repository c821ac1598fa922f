/** The events that the mesh publishes, followed as long as somebody looks. */
import { timestampMs } from '@bufbuild/protobuf/wkt';
import type { ImageInfo, WatchEventsResponse } from '@imagemesh/api';
import { effect, type Signal } from '@preact/signals';
import type { Clients } from '../mesh/clients.ts';
import { follow, type LinkState } from '../mesh/follow.ts';
import { formatNames } from '../mesh/names.ts';
import { bytesText, durationText } from '../ui/format.ts';
import type { Notice } from './notices.ts';

const maxEvents = 200;

/** Puts them into the signals; returns what ends it. */
export function followEvents(
  { jobs }: Clients,
  events: Signal<readonly Notice[]>,
  link: Signal<LinkState>,
): () => void {
  let afterSequence = 0n;
  const following = follow<WatchEventsResponse>({
    open: (stopping) => jobs.watchEvents({ afterSequence }, { signal: stopping }),
    // A gateway that does not serve events is asked again only now and then.
    lastPauseMs: 30_000,
    onMessage(event) {
      // The stream opens with an empty message, which says only that it is there.
      if (event.type === '') return;
      afterSequence = event.sequence;
      // A sign of life.
      if (event.id === '') return;
      events.value = [toNotice(event), ...events.value].slice(0, maxEvents);
    },
  });
  const unfollow = effect(() => {
    link.value = following.state.value;
  });
  return () => {
    unfollow();
    following.stop();
  };
}

function toNotice(event: WatchEventsResponse): Notice {
  const atMs = event.time === undefined ? Date.now() : timestampMs(event.time);
  const verb = event.type.split('.').at(-1) ?? '';
  const tone = verb === 'failed' ? 'bad' : verb === 'cancelled' || verb === 'deleted' ? 'idle' : 'good';
  return { id: event.id, atMs, tone, ...tell(event, verb) };
}

function tell({ data, type }: WatchEventsResponse, verb: string): { subject: string; text: string } {
  switch (data.case) {
    case 'job': {
      const { jobId, labels, results, error, durationMs } = data.value;
      const what =
        error !== undefined && error.message !== ''
          ? error.message
          : `${results.length} results in ${durationText(durationMs)}`;
      return { subject: labels.file ?? jobId.slice(-6), text: `job ${verb}: ${what}` };
    }
    case 'image': {
      const { image } = data.value;
      return {
        subject: image?.filename || (image?.id ?? '').slice(0, 8),
        text: `image ${verb}${infoText(image?.info)}`,
      };
    }
    case 'transform':
      return {
        subject: 'transform',
        text: `took ${durationText(data.value.durationMs)}${infoText(data.value.info)}`,
      };
    default:
      return { subject: type, text: '' };
  }
}

function infoText(info: ImageInfo | undefined): string {
  if (info === undefined) return '';
  return `, ${formatNames(info.format).name} ${info.width} × ${info.height}, ${bytesText(Number(info.sizeBytes))}`;
}

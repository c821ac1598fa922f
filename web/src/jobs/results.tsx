/** The results of a job, as a gallery. */
import type { Job } from '@imagemesh/api';
import type { Clients } from '../mesh/clients.ts';
import { formatNames } from '../mesh/names.ts';
import { bytesText } from '../ui/format.ts';
import { StoredImage } from '../ui/stored-image.tsx';
import { StoredImageLink } from '../ui/stored-image-link.tsx';

export function Results({ job, clients, hasKey }: { job: Job; clients: Clients; hasKey: boolean }) {
  return (
    <ul class="results">
      {job.results.map(({ name, image }) => {
        if (image?.info === undefined) return null;
        const { id, info } = image;
        return (
          <li key={name}>
            <StoredImageLink clients={clients} imageId={id} hasKey={hasKey}>
              <span class="thumb">
                <StoredImage
                  clients={clients}
                  imageId={id}
                  alt={`${name} of ${job.labels.file ?? 'the image'}`}
                  hasKey={hasKey}
                />
              </span>
              <span class="ellipsis">{name}</span>
              <span class="soft">
                {formatNames(info.format).name} · {info.width} × {info.height} ·{' '}
                {bytesText(Number(info.sizeBytes))}
              </span>
            </StoredImageLink>
          </li>
        );
      })}
    </ul>
  );
}

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
      {inOrder(job).map(({ name, image }) => {
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
                {info.width} × {info.height}
              </span>
              <span class="soft">
                {formatNames(info.format).name} · {bytesText(Number(info.sizeBytes))}
              </span>
            </StoredImageLink>
          </li>
        );
      })}
    </ul>
  );
}

/** As the variants were asked for; they come as they are ready. */
function inOrder({ variants, results }: Job): Job['results'] {
  const places = new Map(variants.map(({ name }, at) => [name, at]));
  const placeOf = (name: string) => places.get(name) ?? variants.length;
  return results.toSorted((a, b) => placeOf(a.name) - placeOf(b.name));
}

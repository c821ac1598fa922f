/** The results wanted of each file: the playground's pipeline, then a size, then an encoding. Pure. */
import { create, fromJson } from '@bufbuild/protobuf';
import { type Operation, OperationSchema, OutputSchema, type Variant, VariantSchema } from '@imagemesh/api';

export interface WantedVariant {
  readonly id: number;
  readonly name: string;
  /** Most px a line; undefined: as the pipeline leaves it. */
  readonly width: number | undefined;
  /** A name of the enum Format; "" keeps the source's. */
  readonly format: string;
  readonly quality: number | undefined;
}

/** The most that the API takes. */
export const MAX_VARIANTS = 32;

export const FIRST_VARIANTS: readonly WantedVariant[] = [
  { id: 0, name: 'thumb', width: 160, format: 'FORMAT_WEBP', quality: undefined },
  { id: 1, name: 'medium', width: 800, format: 'FORMAT_WEBP', quality: undefined },
  { id: 2, name: 'large', width: 1600, format: 'FORMAT_JPEG', quality: 85 },
];

export function toVariant(wanted: WantedVariant, operations: readonly Operation[]): Variant {
  const { name, width, format, quality } = wanted;
  const resize =
    width === undefined ? [] : [fromJson(OperationSchema, { resize: { width, withoutEnlargement: true } })];
  const output = { ...(format !== '' && { format }), ...(quality !== undefined && { quality }) };
  return create(VariantSchema, {
    name,
    operations: [...operations, ...resize],
    output: fromJson(OutputSchema, output),
  });
}

/** Why the variants cannot be asked for; undefined where they can. */
export function problemOf(variants: readonly WantedVariant[]): string | undefined {
  if (variants.length === 0) return 'Add at least one variant.';
  const odd = variants.find(({ name }) => !/^[A-Za-z0-9._-]{1,64}$/.test(name));
  if (odd !== undefined) return `“${odd.name}” is no name: letters, digits, “.”, “_” and “-” are.`;
  const names = variants.map(({ name }) => name);
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  return twice === undefined ? undefined : `Two variants are called “${twice}”.`;
}

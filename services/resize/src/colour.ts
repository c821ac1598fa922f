/** Colours as the API writes them: #RRGGBB or #RRGGBBAA. */

/** Each 0 to 255. */
export interface Colour {
  readonly red: number;
  readonly green: number;
  readonly blue: number;
  readonly alpha: number;
}

/** The rules of the messages have checked the form. */
export function parseColour(colour: string): Colour {
  const part = (at: number) => Number.parseInt(colour.slice(at, at + 2), 16);
  return { red: part(1), green: part(3), blue: part(5), alpha: colour.length < 9 ? 255 : part(7) };
}

export function isOpaque(colour: string): boolean {
  return parseColour(colour).alpha === 255;
}

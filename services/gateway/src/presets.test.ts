import { expect, it } from 'vitest';
import { parsePresets } from './presets.ts';

it('reads presets by name', () => {
  const find = parsePresets(
    '# small ones\n\nthumb  resize:300x300,cover/output:quality=70\nplain grayscale\n',
    'presets',
  );
  expect(find('thumb')?.operations).toMatchObject([{ operation: { case: 'resize', value: { width: 300 } } }]);
  expect(find('thumb')?.output).toMatchObject({ quality: 70 });
  expect(find('plain')?.output).toBeUndefined();
  expect(find('constructor')).toBeUndefined();
});

it.each([
  ['thumb\n', 'presets:1: a line is a name'],
  ['# x\nthumb blur:5 # odd\n', 'presets:2: a line is a name'],
  ['a blur:5\nb blur:5/blur:4', 'presets:2: at character 13, "4": blur.size: must be odd'],
  ['a blur\na blur', 'presets:2: the preset a is there already'],
  ['a blur\nb preset:a', 'presets:2: at character 8, "a": there is no preset "a"'],
])('refuses %j, and names the line', (text, message) => {
  expect(() => parsePresets(text, 'presets')).toThrow(message);
});

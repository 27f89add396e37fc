import { describe, expect, test } from 'vitest';
import { Echo } from '../src/editor/echo';

describe('what the page says to its editor', () => {
  test('late answers to what was typed are no news', () => {
    const echo = new Echo();
    for (const text of ['v', 've', 'vec']) echo.tell(text);
    expect(['v', 'vec'].map((text) => echo.isEcho(text))).toEqual([true, true]);
  });

  test('a text that someone else set is', () => {
    const echo = new Echo();
    expect(echo.isEcho('up')).toBe(false);
    echo.tell('up{');
    expect(echo.isEcho('up{')).toBe(true);
    expect(echo.isEcho('up{')).toBe(false);
  });

  test('what was set meanwhile ends the waiting for older answers', () => {
    const echo = new Echo();
    echo.tell('a');
    expect(echo.isEcho('rate(x[5m])')).toBe(false);
    expect(echo.isEcho('a')).toBe(false);
  });
});

import { styleText } from 'node:util';

export type Style = 'bold' | 'dim' | 'red' | 'yellow' | 'green' | 'cyan';

/** Colours a text, or leaves it as it is. */
export type Paint = (style: Style, text: string) => string;

/** Colours are for terminals, and for people who have not asked for none (no-color.org). */
export function painter(terminal: boolean, env: NodeJS.ProcessEnv): Paint {
  const plain = !terminal || (env['NO_COLOR'] ?? '') !== '';
  return plain ? (_, text) => text : (style, text) => styleText(style, text, { validateStream: false });
}

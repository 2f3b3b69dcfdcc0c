/** Fills that differ in more than their colour: each cause of a page has a pattern of its own. */
import { colourOf } from './scheme.ts';

const SIZE = 6;

type Stroke = (context: CanvasRenderingContext2D) => void;

const STROKES: Record<string, Stroke> = {
  file: (context) => context.fillRect(1, 1, 2, 2),
  demand: (context) => {
    context.beginPath();
    for (const offset of [-SIZE, 0, SIZE]) {
      context.moveTo(offset, SIZE);
      context.lineTo(offset + SIZE, 0);
    }
    context.stroke();
  },
};

/** In the colour of that name; the strokes of its pattern are in the colour of the surface. */
export function patternOf(name: string): CanvasPattern | string {
  const stroke = STROKES[name];
  const colour = colourOf(name);
  if (stroke === undefined) return colour;
  const canvas = document.createElement('canvas');
  canvas.width = canvas.height = SIZE;
  const context = canvas.getContext('2d')!;
  context.fillStyle = colour;
  context.fillRect(0, 0, SIZE, SIZE);
  context.fillStyle = context.strokeStyle = colourOf('surface');
  context.lineWidth = 1.2;
  stroke(context);
  return context.createPattern(canvas, 'repeat') ?? colour;
}

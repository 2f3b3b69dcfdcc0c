/** /v1/restores/:id/timeline */
import { Readable } from 'node:stream';
import { Type } from 'typebox';
import type { Plane } from '../plane.ts';
import { followTimeline } from '../restores/follow-timeline.ts';
import { IdParams, strict } from './schemas/common.ts';
import type { App } from './server.ts';

const Milliseconds = Type.Number({ description: 'since the restore request' });
const Sample = Type.Object(
  {
    atMs: Milliseconds,
    filePageCount: Type.Integer(),
    pushedPageCount: Type.Integer(),
    demandedPageCount: Type.Integer(),
    filledPageCount: Type.Integer(),
    faultCount: Type.Integer(),
  },
  { ...strict, description: 'pages sent until then, by why' },
);
const Mark = Type.Object(
  {
    atMs: Milliseconds,
    mark: Type.Union([
      Type.Literal('connected'),
      Type.Literal('restored'),
      Type.Literal('running'),
      Type.Literal('firstResponse'),
      Type.Literal('complete'),
      Type.Literal('failed'),
    ]),
  },
  strict,
);
const TimelineAnswer = Type.Object(
  {
    samples: Type.Array(Sample),
    marks: Type.Array(Mark),
    ended: Type.Boolean({ description: 'nothing more comes' }),
  },
  strict,
);

export function timelineRoutes(app: App, { restores }: Plane): void {
  app.get(
    '/v1/restores/:id/timeline',
    {
      schema: {
        summary: 'How the pages of a restore came',
        description:
          'With `follow`, one JSON a line, `{"sample": …}` or `{"mark": …}`, until the restore is over.',
        params: IdParams,
        querystring: Type.Object({ follow: Type.Boolean({ default: false }) }, strict),
        response: { 200: TimelineAnswer },
      },
    },
    async (request, reply) => {
      const timeline = restores.timeline(request.params.id);
      if (!request.query.follow) return timeline.view();
      // A stream is sent as it is, whatever the schema of the answer without `follow` says.
      return reply.type('application/x-ndjson').send(Readable.from(followTimeline(timeline)) as never);
    },
  );
}

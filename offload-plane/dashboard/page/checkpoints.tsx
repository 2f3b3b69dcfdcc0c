/** Checkpoints in the store: how large, whether they know their working set, and back into a guest. */
import { useState } from 'preact/hooks';
import type { CheckpointView } from '../../checkpoints/checkpoints.ts';
import { age, bytes, count, milliseconds } from './format.ts';
import type { Live } from './live.ts';
import { act, attemptNow } from './notices.tsx';
import { ActionButton, Empty, FormModal, Rows, Section } from './parts.tsx';
import { call, part } from './plane.ts';
import { RestoreDialog } from './restore-dialog.tsx';

const PAGE_BYTES = 4_096;

const COLUMNS = [
  'name',
  'of',
  'taken',
  { number: 'memory' },
  { number: 'stored' },
  { number: 'stood still' },
  'working set',
  'actions',
];

export function Checkpoints({ live }: { live: Live }) {
  const [restoring, setRestoring] = useState<CheckpointView>();
  const [removing, setRemoving] = useState<string>();
  const newestFirst = [...live.checkpoints].sort((a, b) => b.createdAt.localeCompare(a.createdAt));
  return (
    <Section id="checkpoints" title="Checkpoints" note={String(live.checkpoints.length)}>
      {newestFirst.length === 0 ? (
        <Empty>
          None yet. Press Checkpoint at a running container, or <code>offload checkpoint CONTAINER NAME</code>
          : then it can be restored, warm, into any guest.
        </Empty>
      ) : (
        <Rows columns={COLUMNS}>
          {newestFirst.map((checkpoint) => (
            <Row
              key={checkpoint.id}
              checkpoint={checkpoint}
              restore={() => setRestoring(checkpoint)}
              remove={() => setRemoving(checkpoint.id)}
            />
          ))}
        </Rows>
      )}
      {restoring ? (
        <RestoreDialog checkpoint={restoring} live={live} onClose={() => setRestoring(undefined)} />
      ) : null}
      {removing ? (
        <FormModal
          title={`Remove checkpoint ${removing}?`}
          submit="Remove"
          danger
          onSubmit={() =>
            attemptNow(`Remove checkpoint ${removing}`, () =>
              call('DELETE', `/v1/checkpoints/${part(removing)}`),
            )
          }
          onClose={() => setRemoving(undefined)}
        >
          <p>It cannot be restored any more. Containers that were restored from it stay.</p>
        </FormModal>
      ) : null}
    </Section>
  );
}

function Row(props: { checkpoint: CheckpointView; restore: () => void; remove: () => void }) {
  const { checkpoint, restore, remove } = props;
  const { id, container, createdAt, pinned, pageCount, zeroPageCount, frozenMs, hasOrderLog } = checkpoint;
  const path = `/v1/checkpoints/${part(id)}/pin`;
  return (
    <tr data-checkpoint={id}>
      <th scope="row">
        {id} {pinned ? <span class="tag">pinned</span> : null}
      </th>
      <td data-label="of">{container}</td>
      <td data-label="taken">
        <time dateTime={createdAt}>{age(Date.parse(createdAt), Date.now())}</time>
      </td>
      <td
        data-label="memory"
        class="number"
        title={`${count(pageCount)} pages, ${count(zeroPageCount)} of them zero`}
      >
        {bytes(pageCount * PAGE_BYTES)}
      </td>
      <td data-label="stored" class="number">
        {bytes(checkpoint.bytes)}
      </td>
      <td data-label="stood still" class="number">
        {frozenMs === undefined ? '–' : milliseconds(frozenMs)}
      </td>
      <td data-label="working set">{hasOrderLog ? '✓ recorded' : '○ not yet'}</td>
      <td class="actions">
        <button type="button" aria-label={`Restore ${id}`} onClick={restore}>
          Restore
        </button>
        <ActionButton
          label={pinned ? 'Unpin' : 'Pin'}
          about={id}
          action={() => act(`${pinned ? 'Unpin' : 'Pin'} ${id}`, () => call(pinned ? 'DELETE' : 'PUT', path))}
        />
        <button type="button" class="danger" aria-label={`Remove ${id}`} onClick={remove}>
          Remove
        </button>
      </td>
    </tr>
  );
}

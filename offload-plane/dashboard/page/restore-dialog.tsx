/** Asks where to and how to restore a checkpoint. */
import type { CheckpointView } from '../../checkpoints/checkpoints.ts';
import { freeName } from './checkpoint-dialog.tsx';
import type { Live } from './live.ts';
import { longCall } from './long-call.ts';
import { attempt } from './notices.tsx';
import { FormModal } from './parts.tsx';

const POLICIES = [
  ['ordered', 'pushes the pages it is known to touch, in that order, while it runs'],
  ['prefill', 'brings those pages before it runs'],
  ['lazy', 'brings a page when it is touched, the rest after the first response'],
  ['eager', 'brings all of its memory before it runs'],
] as const;

export function RestoreDialog(props: { checkpoint: CheckpointView; live: Live; onClose: () => void }) {
  const { checkpoint, live, onClose } = props;
  const guests = live.guests.filter(({ phase, cordoned }) => phase === 'ready' && !cordoned);
  const names = live.containers.map(({ name }) => name);
  const name = names.includes(checkpoint.container)
    ? freeName(checkpoint.container, names)
    : checkpoint.container;
  const onSubmit = (form: FormData) => {
    const text = Object.fromEntries(['guest', 'name', 'policy'].map((key) => [key, String(form.get(key))]));
    const body = {
      ...{ checkpoint: checkpoint.id, ...text },
      // Left out, the plane decides by whether the address is free.
      ...(form.get('identity') === 'clone' ? { clone: true } : {}),
    };
    const doing = `Restore ${checkpoint.id} as ${text.name}`;
    return attempt(() =>
      longCall({ doing, path: '/v1/restores', body, describe: () => 'runs, its pages follow' }),
    );
  };
  return (
    <FormModal title={`Restore ${checkpoint.id}`} submit="Restore" onSubmit={onSubmit} onClose={onClose}>
      <label>
        Guest
        <select name="guest" required>
          {guests.map((guest) => (
            <option key={guest.name} value={guest.name}>
              {guest.name}
            </option>
          ))}
        </select>
      </label>
      <label>
        Name of the container
        <input name="name" required pattern="[a-z0-9][a-z0-9_.\-]{0,62}" defaultValue={name} />
      </label>
      <fieldset>
        <legend>Comes back</legend>
        <label class="choice">
          <input type="radio" name="identity" value="same" defaultChecked /> <b>as it was</b>{' '}
          <small>with its hostname and address; as a clone where that address is taken</small>
        </label>
        <label class="choice">
          <input type="radio" name="identity" value="clone" /> <b>as a clone</b>{' '}
          <small>with hostname, address, machine id and random numbers of its own</small>
        </label>
      </fieldset>
      <fieldset>
        <legend>Policy</legend>
        {POLICIES.map(([policy, meaning]) => (
          <label key={policy} class="choice">
            <input type="radio" name="policy" value={policy} defaultChecked={policy === 'ordered'} />{' '}
            <b>{policy}</b> <small>{meaning}</small>
          </label>
        ))}
      </fieldset>
      {checkpoint.hasOrderLog ? null : (
        <p class="hint">Its working set is not known yet: the first restore is a lazy one, and records it.</p>
      )}
    </FormModal>
  );
}

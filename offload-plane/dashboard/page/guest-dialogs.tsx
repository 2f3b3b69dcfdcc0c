/** Asks before a guest is emptied or forgotten. */
import type { DrainResult, GuestView } from '../../http-api/schemas/guests.ts';
import { longCall } from './long-call.ts';
import { attempt, attemptNow } from './notices.tsx';
import { FormModal } from './parts.tsx';
import { call, part } from './plane.ts';

interface Props {
  guest: GuestView;
  containerCount: number;
  onClose: () => void;
}

export function DrainDialog({ guest: { name }, onClose }: Props) {
  const onSubmit = (form: FormData) =>
    attempt(() =>
      longCall<DrainResult>({
        doing: `Drain ${name}`,
        path: `/v1/guests/${part(name)}/drain`,
        body: { rest: String(form.get('rest')) },
        describe: describeDrain,
      }),
    );
  return (
    <FormModal title={`Drain ${name}`} submit="Drain" onSubmit={onSubmit} onClose={onClose}>
      <p>
        Its containers move into other guests, one after the other, by checkpoint and restore. It stays
        cordoned: it is given no new ones until it is uncordoned.
      </p>
      <fieldset>
        <legend>What runs and cannot move</legend>
        <label class="choice">
          <input type="radio" name="rest" value="leave" defaultChecked /> runs on
        </label>
        <label class="choice">
          <input type="radio" name="rest" value="stop" /> is stopped
        </label>
      </fieldset>
    </FormModal>
  );
}

export function ForgetDialog({ guest: { name }, containerCount, onClose }: Props) {
  const onSubmit = () => attemptNow(`Forget ${name}`, () => call('DELETE', `/v1/guests/${part(name)}`));
  return (
    <FormModal title={`Forget ${name}?`} submit="Forget" danger onSubmit={onSubmit} onClose={onClose}>
      <p>
        The plane lets go of the guest, which itself runs on.{' '}
        {containerCount === 0
          ? 'It has no containers.'
          : `Its containers (${containerCount}) are lost to the plane; drain it first to keep them.`}
      </p>
    </FormModal>
  );
}

function describeDrain({ moved, stopped, left }: DrainResult): string {
  const kept = [
    ...stopped.map(({ container, reason }) => `${container} is stopped (${reason})`),
    ...left.map(({ container, reason }) => `${container} is left (${reason})`),
  ];
  return [`${moved.length} moved`, ...kept].join('; ');
}

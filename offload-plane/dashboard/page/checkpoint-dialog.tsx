/** Asks how to checkpoint a container. */
import { longCall } from './long-call.ts';
import { attempt } from './notices.tsx';
import { FormModal } from './parts.tsx';

const NAME_PATTERN = '[a-z0-9][a-z0-9_.\\-]{0,62}';
const MAX_PRE_DUMPS = 8;

export function CheckpointDialog(props: {
  container: string;
  taken: readonly string[];
  onClose: () => void;
}) {
  const { container, taken, onClose } = props;
  const onSubmit = (form: FormData) => {
    const id = String(form.get('id'));
    const body = {
      container,
      id,
      after: String(form.get('after')),
      preDumpRounds: Number(form.get('preDumpRounds')),
    };
    const doing = `Checkpoint ${id} of ${container}`;
    return attempt(() => longCall({ doing, path: '/v1/checkpoints', body }));
  };
  return (
    <FormModal title={`Checkpoint ${container}`} submit="Checkpoint" onSubmit={onSubmit} onClose={onClose}>
      <label>
        Name
        <input name="id" required pattern={NAME_PATTERN} defaultValue={freeName(container, taken)} />
      </label>
      <fieldset>
        <legend>Afterwards the container</legend>
        <label class="choice">
          <input type="radio" name="after" value="resume" defaultChecked /> runs on
        </label>
        <label class="choice">
          <input type="radio" name="after" value="stop" /> is ended
        </label>
      </fieldset>
      <label>
        Rounds of pre-dumps <small>send pages while it runs, so that it stands still for less</small>
        <input name="preDumpRounds" type="number" min={0} max={MAX_PRE_DUMPS} defaultValue={0} />
      </label>
    </FormModal>
  );
}

/** `web-1`, or the next number that is free. */
export function freeName(base: string, taken: readonly string[]): string {
  for (let number = 1; ; number += 1) {
    const name = `${base}-${number}`;
    if (!taken.includes(name)) return name;
  }
}

/** What is under way, how far it is, and a way to end it. */
import { useState } from 'preact/hooks';
import type { OperationView } from '../../operations/operation.ts';
import { percent } from './format.ts';
import { cancel } from './long-call.ts';

/** More would cover the page. */
const SHOWN_COUNT = 4;

export function Operations({ operations }: { operations: readonly OperationView[] }) {
  if (operations.length === 0) return null;
  const more = operations.length - SHOWN_COUNT;
  return (
    <section class="operations" aria-label="Under way">
      <ul>
        {operations.slice(0, SHOWN_COUNT).map((operation) => (
          <Operation key={operation.id} operation={operation} />
        ))}
      </ul>
      {more > 0 ? <p class="facts">and {more} more</p> : null}
    </section>
  );
}

function Operation({ operation }: { operation: OperationView }) {
  const { id, kind, subject, progress } = operation;
  const [cancelling, setCancelling] = useState(false);
  const name = `${kind} ${subject}`;
  const { fraction } = progress;
  const onClick = () => {
    setCancelling(true);
    void cancel(operation);
  };
  return (
    <li class="operation" data-operation={id}>
      <p>
        <b>{name}</b>{' '}
        <small>
          {cancelling ? 'is being cancelled' : progress.text}
          {fraction === undefined ? '' : `, ${percent(fraction)}`}
        </small>
      </p>
      <button type="button" aria-label={`Cancel ${name}`} disabled={cancelling} onClick={onClick}>
        Cancel
      </button>
      <progress aria-label={`Progress of ${name}`} {...(fraction === undefined ? {} : { value: fraction })} />
    </li>
  );
}

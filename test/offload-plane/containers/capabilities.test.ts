import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { DEFAULT_CAPABILITIES } from '../../../interconnect/capabilities.ts';
import { capabilitiesOf } from '../../../offload-plane/containers/capabilities.ts';

const DEFAULT = [...DEFAULT_CAPABILITIES].sort();

test('without a wish a container gets what Docker grants', () => {
  assert.equal(capabilitiesOf(), DEFAULT);
});

test('one is added or dropped by its name in any form, and what is both is granted', () => {
  assert.equal(capabilitiesOf(['net_admin']), [...DEFAULT, 'CAP_NET_ADMIN'].sort());
  assert.equal(
    capabilitiesOf([], ['CAP_CHOWN', 'Kill']),
    DEFAULT.filter((name) => name !== 'CAP_CHOWN' && name !== 'CAP_KILL'),
  );
  assert.equal(capabilitiesOf(['CHOWN'], ['CHOWN']), DEFAULT);
});

test('ALL dropped leaves what is added, ALL added what is not dropped', () => {
  assert.equal(capabilitiesOf([], ['all']), []);
  assert.equal(capabilitiesOf(['NET_BIND_SERVICE', 'CHOWN'], ['ALL']), ['CAP_CHOWN', 'CAP_NET_BIND_SERVICE']);
  const all = capabilitiesOf(['ALL']);
  assert.is(all.length, 41);
  assert.equal(
    capabilitiesOf(['ALL'], ['SYS_ADMIN']),
    all.filter((name) => name !== 'CAP_SYS_ADMIN'),
  );
});

test('what is no capability is refused by name', () => {
  assert.throws(() => capabilitiesOf(['FLY']), /capability FLY: Linux has none/);
});

test.run();

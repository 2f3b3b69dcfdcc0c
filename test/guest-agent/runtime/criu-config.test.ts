import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { dumpConfig, restoreConfig } from '../../../guest-agent/runtime/criu-config.ts';

const linesOf = (text: string) => text.trimEnd().split('\n');

test('a dump goes to the page server and never asks for lazy pages', () => {
  const lines = linesOf(dumpConfig({ address: '127.0.0.1', port: 4711, track: false }));
  assert.equal(lines.slice(-3), ['page-server', 'address 127.0.0.1', 'port 4711']);
  assert.ok(lines.includes('tcp-close'));
  assert.not(lines.includes('lazy-pages'));
  assert.not(lines.includes('track-mem'));
});

test('changes are tracked from a dump on that says so, and from one that builds on another', () => {
  const server = { address: '127.0.0.1', port: 4711 };
  const first = linesOf(dumpConfig({ ...server, track: true }));
  assert.ok(first.includes('track-mem'));
  assert.not(first.some((line) => line.startsWith('prev-images-dir')));
  const last = linesOf(dumpConfig({ ...server, track: false, parent: '../parent' }));
  assert.ok(last.includes('track-mem'));
  assert.ok(last.includes('prev-images-dir ../parent'));
});

test('a restore asks for lazy pages only where a pager brings them, and for no page server', () => {
  assert.ok(linesOf(restoreConfig({ lazyPages: true })).includes('lazy-pages'));
  assert.not(linesOf(restoreConfig({ lazyPages: false })).includes('lazy-pages'));
  assert.not(restoreConfig({ lazyPages: true }).includes('page-server'));
});

test('an action script is named when there is one', () => {
  const text = restoreConfig({ lazyPages: true, actionScript: '/hold' });
  assert.ok(linesOf(text).includes('action-script /hold'));
  assert.ok(text.endsWith('\n'), 'CRIU reads whole lines');
});

test.run();

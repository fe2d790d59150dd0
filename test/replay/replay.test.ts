import { readdirSync, readFileSync } from 'node:fs';
import { Runtime, Worker, type WorkflowBundleWithSourceMap } from '@temporalio/worker';
import { bundleSources, quietRuntime } from '../support/workflow-bundle.js';

const HISTORIES = new URL('./histories/', import.meta.url);
const names = readdirSync(HISTORIES).filter((name) => name.endsWith('.json'));

interface StoredHistory {
  events: { eventType: string; [attributes: string]: unknown }[];
}

let workflowBundle: WorkflowBundleWithSourceMap;

beforeAll(async () => {
  quietRuntime();
  workflowBundle = await bundleSources();
});

afterAll(async () => {
  await Runtime.instance().shutdown();
});

function load(name: string): StoredHistory {
  return JSON.parse(readFileSync(new URL(name, HISTORIES), 'utf8')) as StoredHistory;
}

describe('promise 9: sagas in flight go on under new code', () => {
  test('there is a history for each way in which the saga of a scenario or a message of no saga, or a repair can end or wait', () => {
    expect(names.map((name) => name.replace('.json', '')).sort()).toEqual([
      'approved-orders-cancelled',
      'approved-orders-completed',
      'approved-orders-early',
      'approved-orders-timed-out',
      'first-orders-ahead-completed',
      'first-orders-completed',
      'first-orders-rejected',
      'first-orders-undone',
      'messages-asked-again',
      'messages-checked-back',
      'messages-confirmed',
      'messages-discarded',
      'messages-operator-confirmed',
      'messages-parked',
      'messages-resent',
      'messages-rolled-back',
      'orders-ahead-cancelled',
      'orders-ahead-completed',
      'orders-ahead-rejected',
      'orders-ahead-timed-out',
      'orders-cancelled',
      'orders-completed',
      'orders-parked',
      'orders-rejected',
      'orders-timed-out',
      'outbox-delivered',
      'outbox-refused',
      'outbox-retried',
      'payments-ahead-completed',
      'payments-ahead-parked',
      'payments-attested',
      'payments-capture-rejected',
      'payments-completed',
      'payments-given-up',
      'payments-parked',
      'payments-rejected',
      'payments-resolved',
      'payments-timed-out',
      'registrations-ahead-completed',
      'registrations-ahead-held',
      'registrations-ahead-rejected',
      'registrations-cancelled',
      'registrations-completed',
      'registrations-held',
      'registrations-rejected',
      'registrations-taken-back',
      'registrations-timed-out',
      'repairs-done',
      'repairs-interrupted',
    ]);
  });

  test.each(names)("the stored history '%s' replays on today's code", async (name) => {
    await Worker.runReplayHistory({ workflowBundle }, load(name));
  });

  test.each(names)("the stored history '%s' names no folder of the machine that recorded it", (name) => {
    expect(readFileSync(new URL(name, HISTORIES), 'utf8')).not.toMatch(/(?:\(|file:\/\/)\/[\w.-]+\//);
  });

  test('a history in which a step has been taken out does not replay', async () => {
    const history = load('orders-completed.json');
    const isMarker = ({ eventType }: { eventType: string }): boolean => eventType.endsWith('MARKER_RECORDED');
    const taken = history.events.findIndex(isMarker);
    const events = history.events
      .filter((_, index) => index !== taken)
      .map((event, index) => ({ ...event, eventId: String(index + 1) }));
    await expect(Worker.runReplayHistory({ workflowBundle }, { ...history, events })).rejects.toThrow(
      /nondeterminism|TMPRL1100/i,
    );
  });

  test('a history whose activity has another name does not replay', async () => {
    const text = JSON.stringify(load('orders-timed-out.json')).replaceAll('"name":"dispatch"', '"name":"another"');
    await expect(Worker.runReplayHistory({ workflowBundle }, JSON.parse(text) as StoredHistory)).rejects.toThrow(
      /nondeterminism|TMPRL1100/i,
    );
  });
});

import type { Evidence, Expectations, MessageRow, SagaRow, Violation } from './evidence.js';
import { groupBy, violation } from './grouping.js';

const TERMINAL: ReadonlySet<string> = new Set(['completed', 'compensated']);

/** I4, I5, I12, I13, I16, I17, I19, I24, I29, I34: what the ledger says of itself, of Temporal, and of the run. */
export function checkLedger(evidence: Evidence, expected: Expectations): Violation[] {
  return [
    ...oneOutcome(evidence),
    ...outcomesAgree(evidence, expected),
    ...businessRowsMatch(evidence),
    ...messagesOwedMatch(evidence),
    ...inboxMatches(evidence, expected),
    ...nothingPending(evidence),
    ...nothingStale(evidence, expected),
    ...oneChain(evidence),
    ...deterministic(evidence),
    ...runIsReal(evidence),
  ];
}

function oneOutcome({ ledger }: Evidence): Violation[] {
  const ends = groupBy(
    ledger.events.filter(({ state }) => TERMINAL.has(state)),
    ({ sagaId }) => sagaId,
  );
  return ledger.sagas.flatMap((saga) => {
    const events = ends.get(saga.id) ?? [];
    const isRight = TERMINAL.has(saga.state)
      ? events.length === 1 && events[0]!.state === saga.state
      : events.length === 0;
    if (isRight) return [];
    return [
      violation('I4', `'${saga.state}', but its outcome was set ${events.length} times`, {
        ids: [saga.id],
        rows: [saga, ...events],
      }),
    ];
  });
}

function outcomesAgree(
  { ledger, workflows, client }: Evidence,
  { retainsWorkflows = true }: Expectations,
): Violation[] {
  const runs = groupBy(workflows, ({ workflowId }) => workflowId);
  const polls = groupBy(client.polls, ({ sagaId }) => sagaId);
  return ledger.sagas
    .filter(({ state }) => TERMINAL.has(state))
    .flatMap((saga) => {
      const closed = (runs.get(saga.id) ?? []).filter(({ status }) => status !== 'RUNNING');
      const differing = closed.filter(({ status, outcome }) => status !== 'COMPLETED' || outcome !== saga.state);
      const problems: Violation[] = [];
      if (differing.length > 0 || (retainsWorkflows && closed.length === 0 && !saga.isExpress)) {
        const shown = closed.map(({ status, outcome }) => `${status} ${outcome ?? ''}`).join(', ') || 'no closed run';
        problems.push(
          violation('I5', `'${saga.state}' in the ledger, ${shown} in Temporal`, {
            ids: [saga.id],
            rows: [saga, ...closed],
          }),
        );
      }
      const last = polls.get(saga.id)?.at(-1);
      if (last && last.state !== saga.state) {
        problems.push(
          violation('I5', `'${saga.state}' in the ledger, '${last.state}' by GET`, {
            ids: [saga.id],
            rows: [saga, last],
          }),
        );
      }
      return problems;
    });
}

/** The business row of a local step and the record of the step are one transaction. */
function businessRowsMatch({ ledger }: Evidence): Violation[] {
  const done = ledger.stepEffects.filter(({ action, status }) => action === 'do' && status === 'applied');
  const records = groupBy(done, ({ sagaId }) => sagaId);
  const orders = groupBy(ledger.orders, ({ sagaId }) => sagaId);
  const ids = new Set([...records.keys(), ...orders.keys()]);
  return [...ids].flatMap((id) => {
    const rows = [...(records.get(id) ?? []), ...(orders.get(id) ?? [])];
    const isOne = records.get(id)?.length === 1 && orders.get(id)?.length === 1;
    if (isOne && new Set(rows.map(({ txid }) => txid)).size === 1) return [];
    return [violation('I12', 'the business row and its record are not one transaction', { ids: [id], rows })];
  });
}

/** A local transaction and the messages it owes are one transaction. */
function messagesOwedMatch({ ledger }: Evidence): Violation[] {
  const done = ledger.stepEffects.filter(({ action, status }) => action === 'do' && status === 'applied');
  const local = new Map(done.map((row) => [row.sagaId, row]));
  const messages = groupBy(
    ledger.messages.filter(({ action }) => action === 'do'),
    ({ sagaId }) => sagaId,
  );
  return ledger.sagas.flatMap((saga) => {
    const record = local.get(saga.id);
    const rows = messages.get(saga.id) ?? [];
    const owed = record ? saga.plan.flat().filter(({ type }) => type === 'message').length : 0;
    if (rows.length === owed && rows.every(({ txid }) => txid === record!.txid)) return [];
    const problem = `${rows.length} messages of the ${owed} owed, or not in the local transaction`;
    return [violation('I13', problem, { ids: [saga.id], rows: [record, ...rows] })];
  });
}

function inboxMatches({ inbox, effects, faults }: Evidence, { duplicates = false }: Expectations): Violation[] {
  const remote = effects.filter(({ service }) => service !== 'orders');
  const written = groupBy(remote, (row) => `${row.service} ${row.sagaId}/${row.step}/${row.action}`);
  const recorded = groupBy(inbox, (row) => `${row.service} ${row.sagaId}/${row.step}/${row.action}`);
  const unrecorded = [...written].filter(([key, rows]) => {
    const record = recorded.get(key) ?? [];
    return record.length !== 1 || record[0]!.status !== 'applied' || rows.some(({ txid }) => txid !== record[0]!.txid);
  });
  const found = unrecorded.map(([key, rows]) =>
    violation('I16', `'${key}' and its inbox row are not one transaction`, {
      ids: [key],
      rows: [...rows, ...(recorded.get(key) ?? [])],
    }),
  );
  if (!duplicates || faults.some(({ name, proof }) => name === 'duplicate' && proof)) return found;
  return [...found, violation('I16', 'deliveries were to be repeated, but no duplicate was refused', { ids: [] })];
}

const FINAL: ReadonlySet<MessageRow['status']> = new Set(['sent', 'rejected', 'withdrawn']);

/** Nothing that a settled saga owes is still waiting, and what it says was answered was. */
function nothingPending({ ledger }: Evidence): Violation[] {
  const states = new Map(ledger.sagas.map(({ id, state }) => [id, state]));
  const open = ledger.messages.filter(({ sagaId, action, status }) => {
    const state = states.get(sagaId) ?? '';
    if (state === 'completed') return status !== 'sent';
    if (state === 'compensated') return !FINAL.has(status) || (action === 'undo' && status !== 'sent');
    return false;
  });
  return open.map((row) =>
    violation('I17', `'${row.step}/${row.action}' is '${row.status}' although its saga has settled`, {
      ids: [row.sagaId],
      rows: [row],
    }),
  );
}

function nothingStale({ ledger }: Evidence, { parked = 0 }: Expectations): Violation[] {
  const open = ledger.sagas.filter(({ state }) => !TERMINAL.has(state));
  const stale = open.filter(({ state }) => state !== 'parked');
  const waiting = open.length - stale.length;
  const idsOf = (sagas: readonly SagaRow[]): string[] => sagas.map(({ id }) => id);
  const found =
    stale.length > 0
      ? [violation('I19', `${stale.length} sagas have not settled`, { ids: idsOf(stale), rows: stale })]
      : [];
  if (waiting === parked) return found;
  const rows = open.filter(({ state }) => state === 'parked');
  return [
    ...found,
    violation('I19', `${waiting} sagas are parked, ${parked} were planned`, { ids: idsOf(rows), rows }),
  ];
}

function oneChain({ ledger, workflows }: Evidence): Violation[] {
  const sagas = new Map(ledger.sagas.map((saga) => [saga.id, saga]));
  return [...groupBy(workflows, ({ workflowId }) => workflowId)].flatMap(([id, runs]) => {
    const saga = sagas.get(id);
    const open = runs.filter(({ status }) => status === 'RUNNING');
    if (!saga) return [violation('I24', 'a workflow without a saga', { ids: [id], rows: runs })];
    if (saga.isExpress)
      return [violation('I24', 'a workflow beside the express lane', { ids: [id], rows: [saga, ...runs] })];
    if (runs.length > 1) return [violation('I24', `${runs.length} runs for one saga`, { ids: [id], rows: runs })];
    if (TERMINAL.has(saga.state) && open.length > 0) {
      return [
        violation('I24', `settled as '${saga.state}', but its workflow still runs`, {
          ids: [id],
          rows: [saga, ...open],
        }),
      ];
    }
    return [];
  });
}

function deterministic({ replays, workflows }: Evidence): Violation[] {
  const failing = workflows.filter(({ failedTasks }) => failedTasks.length > 0);
  return [
    ...replays.map((row) =>
      violation('I29', `its history does not replay: ${row.error}`, { ids: [row.workflowId], rows: [row] }),
    ),
    ...failing.map((row) =>
      violation('I29', `workflow tasks failed: ${row.failedTasks.join('; ')}`, { ids: [row.workflowId], rows: [row] }),
    ),
  ];
}

const OFFERED = 0.95;

function runIsReal({ client, faults, books }: Evidence): Violation[] {
  const offered = new Set(client.requests.map(({ tenant, key }) => `${tenant} ${key}`)).size;
  const silent = faults.filter(({ proof }) => proof === undefined);
  return [
    ...silent.map((fault) => violation('I34', `the fault '${fault.name}' left no proof`, { ids: [], rows: [fault] })),
    ...(offered < OFFERED * client.planned
      ? [violation('I34', `only ${offered} of ${client.planned} requests were offered`, { ids: [] })]
      : []),
    ...(books.snapshots === 0 ? [violation('I34', 'money and stock were never watched', { ids: [] })] : []),
  ];
}

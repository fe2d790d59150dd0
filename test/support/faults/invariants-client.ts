import { canonicalJson } from '../../../src/participant/json.js';
import type { ClientResponse, Evidence, SagaRow, Violation } from './evidence.js';
import { groupBy, violation } from './grouping.js';

const identityOf = ({ tenant, key }: { tenant: string; key: string }): string => `${tenant} ${key}`;
const isAccepted = ({ status }: ClientResponse): boolean => status >= 200 && status < 300;

/** I1, I2, I3, I22, I33: what the client was told against what the ledger holds. */
export function checkClient(evidence: Evidence): Violation[] {
  const sagas = groupBy(evidence.ledger.sagas, ({ tenantId, key }) => identityOf({ tenant: tenantId, key }));
  return [
    ...acceptanceIsDurable(evidence, sagas),
    ...unknownConverges(evidence, sagas),
    ...noPhantoms(evidence),
    ...replaysAreEqual(evidence, sagas),
    ...statesMoveForward(evidence),
  ];
}

type SagasByKey = ReadonlyMap<string, readonly SagaRow[]>;

function acceptanceIsDurable({ client }: Evidence, sagas: SagasByKey): Violation[] {
  const accepted = groupBy(client.responses.filter(isAccepted), identityOf);
  return [...accepted].flatMap(([key, responses]) => {
    const rows = sagas.get(key) ?? [];
    if (rows.length !== 1) {
      return [
        violation('I1', `an accepted request has ${rows.length} saga rows`, {
          ids: [key],
          rows: [...rows, ...responses],
        }),
      ];
    }
    const saga = rows[0]!;
    const others = responses.filter(({ sagaId, orderId }) => sagaId !== saga.id || orderId !== saga.businessKey);
    if (others.length === 0) return [];
    return [
      violation('I1', `answers name another saga than '${saga.id}'`, { ids: [key, saga.id], rows: [saga, ...others] }),
    ];
  });
}

function unknownConverges({ client }: Evidence, sagas: SagasByKey): Violation[] {
  const asked = groupBy(client.requests, identityOf);
  const settled = new Set(client.responses.filter(isAccepted).map(identityOf));
  const several = [...asked.keys()].flatMap((key) => {
    const rows = sagas.get(key) ?? [];
    return rows.length > 1 ? [violation('I2', `one key has ${rows.length} sagas`, { ids: [key], rows })] : [];
  });
  const unanswered = [...asked.keys()].filter((key) => !settled.has(key));
  if (unanswered.length === 0) return several;
  return [...several, violation('I2', 'requests never reached a 2xx although they were retried', { ids: unanswered })];
}

function noPhantoms({ client, ledger }: Evidence): Violation[] {
  const asked = groupBy(client.requests, identityOf);
  return ledger.sagas.flatMap((saga) => {
    const requests = asked.get(identityOf({ tenant: saga.tenantId, key: saga.key })) ?? [];
    return requests.length > 0
      ? []
      : [violation('I3', 'a saga that nobody asked for', { ids: [saga.id], rows: [saga] })];
  });
}

function replaysAreEqual({ client }: Evidence, sagas: SagasByKey): Violation[] {
  const otherBody = client.responses
    .filter(({ scenario, status }) => scenario === 'other-body' && status > 0 && status < 500 && status !== 422)
    .map((response) =>
      violation('I22', 'the same key with another body was not answered 422', {
        ids: [response.key],
        rows: [response],
      }),
    );
  const first = groupBy(client.requests, identityOf);
  const changed = [...sagas].flatMap(([key, rows]) => {
    const sent = first.get(key)?.[0]?.body;
    return rows.filter((saga) => sent !== undefined && !isSameOrder(saga, sent)).map((saga) => ({ key, saga, sent }));
  });
  return [
    ...otherBody,
    ...changed.map(({ key, saga, sent }) =>
      violation('I22', 'the stored input is not the body that was accepted', {
        ids: [key, saga.id],
        rows: [saga.input, sent],
      }),
    ),
  ];
}

/** The stored input is the body plus the order id that the API chose. */
function isSameOrder(saga: SagaRow, sent: unknown): boolean {
  return canonicalJson(saga.input) === canonicalJson({ ...(sent as object), orderId: saga.businessKey });
}

/** A parked saga goes back to where it was, so that it has no rank of its own. */
const RANK: Readonly<Record<string, number>> = {
  accepted: 0,
  running: 1,
  compensating: 2,
  completed: 3,
  compensated: 3,
};

function statesMoveForward({ client, ledger }: Evidence): Violation[] {
  const seen = groupBy(client.polls, ({ sagaId }) => sagaId);
  const polled = [...seen].flatMap(([id, polls]) =>
    movesBack(polls) ? [violation('I33', 'the state that GET shows moved backwards', { ids: [id], rows: polls })] : [],
  );
  const recorded = [...groupBy(ledger.events, ({ sagaId }) => sagaId)].flatMap(([id, events]) =>
    movesBack(events) ? [violation('I33', 'the recorded states moved backwards', { ids: [id], rows: events })] : [],
  );
  return [...polled, ...recorded];
}

function movesBack(states: readonly { readonly state: string }[]): boolean {
  const ranked = states.filter(({ state }) => RANK[state] !== undefined);
  return ranked.some(({ state }, index) => {
    const before = ranked[index - 1]?.state;
    if (before === undefined || before === state) return false;
    return RANK[state]! <= RANK[before]!;
  });
}

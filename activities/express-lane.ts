import type { ExpressAcceptance, ExpressEnd, ExpressFinding, ExpressStart } from '../src/db/express.js';
import type { OwedMessage } from '../src/db/local-effects.js';
import type { Transaction } from '../src/db/pool.js';
import type { AcceptedSaga, NewSaga } from '../src/db/saga-store.js';
import { isDatabaseUnavailable } from '../src/db/unavailable.js';
import type { SagaDefinition } from '../src/saga/define-saga.js';
import type { Place } from '../src/saga/lane.js';
import type { LocalWork } from '../src/saga/local-work.js';
import { owedAfter, stepsOf, turningPoint, type PlanStep } from '../src/saga/plan.js';
import { createGate, type Closed, type Gate } from './express-gate.js';
import { answersOf, countLease, findingsOf, type Ride } from './express-ride.js';
import { runExpressStep, type StepTools, type Trouble } from './express-steps.js';
import { owedMessages } from './run-local.js';
import type { LocalArgs } from './saga-activities.js';
import { createSettleLine, type SettleLine } from './settle-line.js';

/** What the lane asks of the ledger. */
export interface ExpressLedger {
  accept(start: ExpressStart): Promise<ExpressAcceptance>;
  mayPassTurn(sagaId: string): Promise<boolean>;
  settle(ends: readonly ExpressEnd[]): Promise<ReadonlySet<string>>;
  handOver(given: { readonly sagaId: string; readonly findings: readonly ExpressFinding[] }): Promise<boolean>;
}

/**
 * Where a saga of the lane's types went: through it (`completed`, or `refused` by its first step), out of it to its workflow, or
 * (`full`, `resting`, `failed` at its acceptance) not into it.
 */
export type ExpressEnding = 'completed' | 'refused' | Trouble | Closed | 'failed';

/** How many sagas of a type have gone where, since the process was started. */
export interface ExpressCount {
  readonly type: string;
  readonly ending: ExpressEnding;
  readonly count: number;
}

/**
 * Runs sagas straight through in the process that accepts them: the happy path, and nothing else. Whatever does not go well is handed
 * over to the saga's workflow.
 * ```
 * accept + first step + messages owed, one commit ─▶ send … send ─▶ settle, with others ─▶ completed
 *                                                      └─ any trouble ─▶ hand over what is known ─▶ workflow
 *                                                         or death ─▶ lease over ─▶ ledger scan ─▶ workflow
 * ```
 */
export interface ExpressLane {
  /**
   * Accepts a saga and begins to run it; finds the first one of the same key.
   *
   * @returns undefined when it is none of the lane's, or cannot be now: then nothing is stored, and the workflow lane may accept it
   * @throws when the ledger does not answer
   */
  accept(saga: NewSaga): Promise<AcceptedSaga | undefined>;
  /** What a saga of a type would find now; undefined when the other lane is to take it. */
  placeFor(type: string): Place | undefined;
  counts(): readonly ExpressCount[];
  /** Begins no more steps, hands over what is under way. */
  stop(): Promise<void>;
}

export interface ExpressOptions extends Omit<StepTools, 'isClosing'> {
  /** Of the sagas that the lane takes. */
  readonly definitions: readonly SagaDefinition[];
  readonly localWorks: ReadonlyMap<string, LocalWork<Transaction, never, unknown>>;
  readonly ledger: ExpressLedger;
  /** Starts the workflow of a saga that was handed over. */
  readonly startSoon: (saga: AcceptedSaga) => void;
  readonly onError: (error: unknown, message: string) => void;
}

interface Track {
  readonly definition: SagaDefinition;
  readonly gate: Gate;
}

interface Lane extends ExpressOptions, StepTools {
  readonly line: SettleLine;
}

/** Nobody else runs the saga for so long: time for an attempt and more, and when this process dies its sagas go on no later. */
const LEASE_MS = 3_000;

/** What says nothing of the participants' health. */
const HARMLESS: ReadonlySet<ExpressEnding> = new Set(['rejected', 'refused', 'stopped', 'closing']);

/** Opens the lane of one process. */
export function createExpressLane(options: ExpressOptions): ExpressLane {
  const tracks = new Map(options.definitions.map((each) => [each.type, { definition: each, gate: createGate() }]));
  const counts = new Map<string, ExpressCount>();
  const underWay = new Set<Promise<void>>();
  let isClosing = false;
  const lane: Lane = { ...options, line: createSettleLine(options.ledger.settle), isClosing: () => isClosing };
  const note = (type: string, ending: ExpressEnding): void => {
    const before = counts.get(`${type} ${ending}`)?.count ?? 0;
    counts.set(`${type} ${ending}`, { type, ending, count: before + 1 });
  };
  const leave = ({ gate, definition }: Track, ending: ExpressEnding, insideMs: number): void => {
    note(definition.type, ending);
    gate.leave(ending === 'completed' ? 'well' : HARMLESS.has(ending) ? 'neither' : 'troubled', insideMs);
  };
  return {
    accept: async (saga) => {
      const track = tracks.get(saga.type);
      if (!track || isClosing) return undefined;
      const closed = track.gate.enter();
      if (closed) {
        note(saga.type, closed);
        return undefined;
      }
      const enteredAt = performance.now();
      const insideMs = (): number => performance.now() - enteredAt;
      const boarded = await board(lane, track.definition, saga).catch((error: unknown) => {
        leave(track, 'failed', insideMs());
        if (isDatabaseUnavailable(error)) throw error;
        options.onError(error, 'a saga was not accepted into the express lane; it takes the other');
        return undefined;
      });
      if (!boarded) return undefined;
      const { ride } = boarded;
      if (ride) {
        const riding = drive(lane, ride)
          .then((ending) => leave(track, ending, insideMs()))
          .finally(() => underWay.delete(riding));
        underWay.add(riding);
      } else if (boarded.saga.replayed) track.gate.leave('neither', insideMs());
      else leave(track, 'refused', insideMs());
      return boarded.saga;
    },
    placeFor: (type) => {
      const track = tracks.get(type);
      if (!track || isClosing) return undefined;
      const closed = track.gate.closed();
      return closed === 'resting' ? undefined : (closed ?? 'free');
    },
    counts: () => [...counts.values()],
    stop: async () => {
      isClosing = true;
      await Promise.all(underWay);
    },
  };
}

/** Accepts the saga with its first step. */
async function board(
  { ledger, localWorks }: Lane,
  definition: SagaDefinition,
  request: NewSaga,
): Promise<{ readonly saga: AcceptedSaga; readonly ride?: Ride }> {
  const { plan } = request;
  const step = plan.items[0] as PlanStep;
  const leaseMs = Math.min(LEASE_MS, plan.deadlineMs ?? Infinity);
  // as its workflow would read it
  const saga = { ...request, input: JSON.parse(JSON.stringify(request.input)) as unknown };
  const work = localWorks.get(step.action);
  if (!work)
    throw new Error(`saga '${saga.id}' needs the local transaction '${step.action}', which this process lacks`);
  const hasTimeFor = countLease(leaseMs);
  const context = { sagaId: saga.id, tenantId: saga.tenantId, input: saga.input as never, results: {} };
  const accepted = await ledger.accept({
    ...{ saga, leaseMs, step },
    work: (tx) => work(tx, context),
    owes: (result) => owedBy(definition, { saga, step, result }),
  });
  if (accepted.kind !== 'begun') return { saga: accepted.saga };
  const { messages, result } = accepted;
  const results = { [step.name]: result };
  return {
    saga: accepted.saga,
    ride: { ...{ definition, messages, results, hasTimeFor }, saga: accepted.saga, answers: new Map() },
  };
}

/**
 * What the first step owes. What can be taken back counts as begun from here on, which spares each its own transaction; what cannot
 * must not, or a saga whose process has died before sending it could not compensate.
 *
 * @throws Error for a payload that breaks its contract: the workflow rejects it
 */
function owedBy(
  { code, plan }: SagaDefinition,
  { saga, step, result }: { readonly saga: NewSaga; readonly step: PlanStep; readonly result: unknown },
): OwedMessage[] {
  const kinds = new Map(plan.items.flatMap(stepsOf).map(({ name, kind }) => [name, kind]));
  const args: LocalArgs = {
    ...{ effect: { sagaId: saga.id, step: step.name, action: 'do' }, tenantId: saga.tenantId, work: step.action },
    ...{ saga: saga.type, input: saga.input, results: {}, owes: owedAfter(plan, step) },
  };
  return owedMessages(args, result, (name) => code.get(name)).map((message) => {
    const contract = code.get(message.step)?.contract;
    if (contract && !contract.payload.safeParse(message.payload).success)
      throw new Error(`the payload of '${saga.id}/${message.step}' breaks the contract of '${message.type}'`);
    return { ...message, isBegun: kinds.get(message.step) === 'compensatable' };
  });
}

/** Runs what follows the first step; never rejects. */
async function drive(lane: Lane, ride: Ride): Promise<ExpressEnding> {
  const { saga } = ride;
  try {
    const trouble = (await runSteps(lane, ride)) ?? (await settle(lane, ride));
    if (!trouble) return 'completed';
    if (await lane.ledger.handOver({ sagaId: saga.id, findings: findingsOf(ride) })) lane.startSoon(saga);
    return trouble;
  } catch (error) {
    lane.onError(error, `saga '${saga.id}' could not be handed over; the ledger scan starts it when its lease is over`);
    return 'ledger';
  }
}

async function runSteps(lane: Lane, ride: Ride): Promise<Trouble | undefined> {
  const { id, plan } = ride.saga;
  const turn = turningPoint(plan);
  for (const [index, item] of plan.items.entries()) {
    if (index === 0) continue;
    if (index === turn && !(await lane.ledger.mayPassTurn(id))) return 'stopped';
    const ends = await Promise.all(stepsOf(item).map((step) => runExpressStep(lane, ride, step)));
    const trouble = ends.find((end) => end !== undefined);
    if (trouble) return trouble;
  }
  return undefined;
}

async function settle({ line }: Lane, ride: Ride): Promise<Trouble | undefined> {
  try {
    return (await line.settle({ sagaId: ride.saga.id, answers: answersOf(ride) })) ? undefined : 'stopped';
  } catch {
    // it may have been settled all the same: handing over will find out
    return 'ledger';
  }
}

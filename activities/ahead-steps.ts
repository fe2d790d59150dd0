import type { LoggedMessage } from '../src/db/message-log.js';
import type { OutcomeKind } from '../src/saga/outcome.js';
import { owedAfter, stepsOf, type PlanStep } from '../src/saga/plan.js';
import type { Admission } from '../src/transports/router.js';
import { move, neededOf, type Needed, type Run, type Tools } from './ahead-run.js';
import { envelopeOf } from './dispatch.js';
import { currentPath, obtain } from './obtain.js';
import { settle } from './obtained.js';
import { QUICK_MS } from './quick-attempts.js';
import { owedMessages } from './run-local.js';
import { checked } from './step-answers.js';

/** Runs a local transaction; the messages of the item behind it count as begun with its commit. */
export async function runLocal(
  tools: Tools,
  run: Run,
  { step, index }: { readonly step: PlanStep; readonly index: number },
): Promise<boolean> {
  const { start, saga } = run.args;
  const { sagaId, tenantId, input } = start;
  const work = tools.dependencies.localWorks.get(step.action);
  if (!work) return false;
  if (run.unrecorded.length > 0 && !(await move(tools, run, []))) return false;
  const context = { sagaId, tenantId, input: input as never, results: run.results };
  const effect = { sagaId, step: step.name, action: 'do' } as const;
  const target = { effect, tenantId, work: step.action, saga, input };
  try {
    const applied = await tools.ledger.applyLocal({
      ...{ effect, tenantId, work: (tx) => work(tx, context) },
      owes: (result) => {
        const args = { ...target, results: run.results, owes: owedAfter(start.plan, step) };
        const owed = owedMessages(args, result, (name) => run.definition.code.get(name));
        const next = nextSteps(tools, run, { index, results: { ...run.results, [step.name]: result } });
        return owed.map((message) => ({ ...message, isBegun: next.has(message.step) }));
      },
    });
    run.results[step.name] = applied.result;
    run.begun = applied.begun;
    return true;
  } catch {
    // a refusal is in the ledger, and whatever else it was may be over when the workflow tries again
    return false;
  }
}

/** The steps of the next item, where all of them are messages that can be sent. */
function nextSteps(
  { dependencies: { router } }: Tools,
  run: Run,
  { index, results }: { readonly index: number; readonly results: Run['results'] },
): ReadonlySet<string> {
  const item = run.args.start.plan.items[index + 1];
  const steps = item ? stepsOf(item) : [];
  const canSend = steps.every(({ type, action }) => type === 'message' && router.room(action) === Infinity);
  const needed = canSend ? neededOf(run, steps, results) : undefined;
  // what cannot be taken back must not, or a saga that has not sent it could not compensate
  return new Set(needed?.filter(({ step }) => step.kind === 'compensatable').map(({ step }) => step.name));
}

/** Sends the messages of an item, each once; returns whether all were answered well. */
export async function sendAll(tools: Tools, run: Run, needed: readonly Needed[]): Promise<boolean> {
  const sendings = needed.map((each) => ({
    ...each,
    admission: tools.dependencies.router.admit(each.step.action, currentPath()),
  }));
  try {
    const held = sendings.filter(({ admission }) => admission.held);
    // the workflow asks once more where it is a matter of a moment
    run.slow.push(...held.filter(({ admission }) => !admission.held?.isBrief).map(({ step }) => step.name));
    if (held.length > 0) return false;
    const messages = await beginAll(tools, run, needed);
    if (!messages) return false;
    const ends = await Promise.all(
      sendings.map(({ step, admission }) =>
        attempt(tools, run, { step, admission, message: messages.get(step.name)! }),
      ),
    );
    return ends.every(Boolean);
  } finally {
    for (const { admission } of sendings) admission.leave();
  }
}

/** Begins the messages of an item, but for those that have begun with the local transaction before it. */
async function beginAll(
  tools: Tools,
  run: Run,
  needed: readonly Needed[],
): Promise<ReadonlyMap<string, LoggedMessage> | undefined> {
  const { begun } = run;
  run.begun = NONE;
  const begins = needed
    .filter(({ step }) => !begun.has(step.name))
    .map(({ step, payload }) => ({ step: step.name, type: step.action, payload }));
  const moved = begins.length > 0 ? await move(tools, run, begins) : NONE;
  return moved && new Map([...begun, ...moved]);
}

const NONE: ReadonlyMap<string, LoggedMessage> = new Map();

interface Attempt {
  readonly step: PlanStep;
  readonly message: LoggedMessage;
  readonly admission: Admission;
}

/** Makes one attempt; returns whether it was answered well. */
async function attempt(tools: Tools, run: Run, { step, message, admission }: Attempt): Promise<boolean> {
  const begunAt = performance.now();
  // one that the ledger has failed is the workflow's; the others' answers are recorded all the same
  const kind = await sendOnce(tools, run, { step, message }).catch(() => 'unknown' as const);
  const tookMs = performance.now() - begunAt;
  if (message.status === 'pending' && message.awaitedMs === 0) admission.leave(tookMs);
  if (kind === 'working' || (kind !== 'done' && tookMs > QUICK_MS)) run.slow.push(step.name);
  return kind === 'done';
}

/** Sends a message once; what was not done is recorded at once, what was is with the saga's next move. */
async function sendOnce(
  { dependencies, contracts, record }: Tools,
  run: Run,
  { step, message }: Pick<Attempt, 'step' | 'message'>,
): Promise<OutcomeKind> {
  const { start, saga, attemptMs } = run.args;
  if (message.status === 'sent') {
    run.results[step.name] = message.result;
    return 'done';
  }
  if (message.awaitedMs > 0) return 'working';
  if (message.status !== 'pending') return 'unknown';
  // an earlier release has written it, or a person; the workflow knows whether it may have been sent
  if (contracts.get(message.type)?.payload.safeParse(message.payload).success === false) return 'unknown';
  const effect = { sagaId: start.sagaId, step: step.name, action: 'do' } as const;
  const { revision, type } = message;
  const contract = contracts.get(type);
  const { answer, onRecorded } = await obtain(dependencies, {
    envelope: envelopeOf({ ...start, effect, saga }, message),
    timeoutMs: Math.min(attemptMs, step.retry.timeoutMs),
    patienceMs: step.retry.timeoutMs,
    fireAndForget: contract?.fireAndForget ?? false,
  });
  const given = checked(answer, 'do', contract);
  if (given.kind === 'done') {
    const { result } = given;
    run.results[step.name] = result;
    run.unrecorded = [...run.unrecorded, { answer: { step: step.name, revision, result }, onRecorded }];
    return 'done';
  }
  await settle({ answer, onRecorded }, (final) =>
    record({ effect, revision, type, maxWaitMs: step.retry.capMs }, final),
  );
  return given.kind;
}

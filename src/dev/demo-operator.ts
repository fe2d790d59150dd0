import { randomUUID } from 'node:crypto';
import type { ParkedPage } from '../api/operator-schemas.js';
import type { SagaView } from '../api/schemas.js';
import type { Check, Show } from './demo-scenarios.js';

/** What the scene needs of the demo. */
export interface OperatorScene {
  /** Asks the API: GET without a body, POST with one. */
  readonly ask: (path: string, body?: object) => Promise<unknown>;
  /** Places an order whose participant will refuse to take it back; returns the saga's id once it is parked. */
  readonly park: () => Promise<string>;
  /** Lets the participant work again. */
  readonly mend: () => Promise<void>;
  /** Waits until a saga has settled. */
  readonly settled: (sagaId: string) => Promise<SagaView>;
  readonly show: Show;
}

/** An operator finds a parked saga, sees what may be done, has its cause mended and tries it again. */
export async function repairParkedSaga({ ask, park, mend, settled, show }: OperatorScene): Promise<readonly Check[]> {
  const sagaId = await park();
  show('An order that can neither go on nor be taken back: parked, until a person decides', [
    (await ask(`/v1/sagas/${sagaId}`)) as SagaView,
  ]);
  const { items } = (await ask(`/v1/parked?id=${sagaId}`)) as ParkedPage;
  await mend();
  await ask(`/v1/sagas/${sagaId}/actions`, {
    ...{ actionId: randomUUID(), action: 'retry', actor: 'ann', reason: 'the warehouse is open again' },
  });
  const repaired = await settled(sagaId);
  show('The same after ann has tried it again', [repaired]);
  return [
    {
      isGood: items.some(({ actions }) => actions.includes('retry')),
      text: 'the parked order was listed with what may be done',
    },
    { isGood: repaired.state === 'compensated', text: 'the parked order was taken back once a person said so' },
    { isGood: repaired.actions.length === 1, text: 'who did it, and why, is kept' },
  ];
}

import { openGenerator, type Generator, type Run, type Shape } from './generator.js';
import { startParticipants, type Behaviour, type ParticipantBooks } from './participants.js';

// The load and the participants, as a process of their own: what they cost is not the contestant's. It ends with its parent.

/** What it is asked; each is answered with a {@link LoadAnswer} under the same number. */
export type LoadRequest = { readonly number: number } & (
  | { readonly ask: 'open'; readonly url: string }
  | { readonly ask: 'run'; readonly shape: Shape }
  | { readonly ask: 'halt' | 'books' | 'close' }
  | { readonly ask: 'behave'; readonly behaviour: Behaviour }
  /** For participants that are not ours. */
  | { readonly ask: 'settled'; readonly orderIds: readonly string[] }
);

export type LoadAnswer = { readonly number: number } & (
  { readonly value: string | Run | ParticipantBooks | null } | { readonly error: string }
);

const participants = await startParticipants();
const { events } = participants;
let generator: Generator | undefined;

process.on('message', (request: LoadRequest) => {
  answer(request).then(
    (value) => send({ number: request.number, value: value ?? null }),
    (error: unknown) => send({ number: request.number, error: (error as Error).message }),
  );
});
process.on('disconnect', () => process.exit(0));
send({ number: 0, value: participants.url });

async function answer(request: LoadRequest): Promise<string | Run | ParticipantBooks | undefined> {
  switch (request.ask) {
    case 'open':
      // the API before it has its answers by now
      events.removeAllListeners('settled');
      generator = openGenerator(request.url, events);
      return undefined;
    case 'run':
      return generator?.run(request.shape);
    case 'halt':
      return void generator?.halt();
    case 'books':
      return participants.takeBooks();
    case 'close':
      await generator?.close();
      return undefined;
    case 'behave':
      return void participants.behave(request.behaviour);
    case 'settled':
      return void request.orderIds.forEach((orderId) => events.emit('settled', orderId));
  }
}

function send(message: LoadAnswer): void {
  process.send!(message);
}

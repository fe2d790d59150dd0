import { Gauge, type Registry } from 'prom-client';
import type { ApiCircuits } from './parts.js';

/** The participants that this process sends to; their addresses come from the configuration. */
export function addCircuitMetrics(registry: Registry, circuits: ApiCircuits): void {
  const registers = [registry];
  new Gauge({
    name: 'settle_circuit_open',
    help: '1 while a participant does not answer and gets one message a second, 0 while it does; of this process.',
    labelNames: ['participant'],
    registers,
    collect() {
      for (const { participant, isOpen } of circuits.list()) this.set({ participant }, isOpen ? 1 : 0);
    },
  });
  new Gauge({
    name: 'settle_attempts_held_total',
    help: 'Attempts that were held back, as their participant does not answer or has its share of the worker; none of them was sent.',
    labelNames: ['participant'],
    registers,
    collect() {
      for (const { participant, held } of circuits.list()) this.set({ participant }, held);
    },
  });
}

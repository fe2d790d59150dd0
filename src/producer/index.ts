export { createProducer, type OutgoingMessage, type Producer, type ProducerOptions, type Sent } from './producer.js';
export { createCheckBackHandler, type CheckBackOptions } from './check-back-handler.js';
export { answerCheckBack, commitMessage, RolledBackError, type ProducerDatabase } from './verdicts.js';
export { createSettleClient, SettleProblem, type SettleClient, type SettleOptions } from './settle-client.js';
export { PRODUCER_MIGRATION } from './verdict-schema.js';

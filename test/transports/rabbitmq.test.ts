import { describeContract } from '../support/transports/contract.js';

await describeContract('rabbitmq');

import { definitions } from '../workflows/definitions.js';
import { CHECK_PLAN } from './saga/half-message.js';
import { halfMessageHorizon, sagaHorizon, type Horizon } from './saga/windows.js';

/** The longest immunity that the API lets a producer ask for. */
const MAX_IMMUNITY_MS = 86_400_000;

/** For how long each thing that this release sends may be sent again by itself: what the windows are computed from. */
export const HORIZONS: readonly Horizon[] = [
  ...definitions.map(({ plan }) => sagaHorizon(plan)),
  halfMessageHorizon({ ...CHECK_PLAN, firstMs: MAX_IMMUNITY_MS }),
];

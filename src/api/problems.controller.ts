import { Controller, Get, Param } from '@nestjs/common';
import { PROBLEMS, ProblemError, problemUri, type ProblemKind, type ProblemName } from './problems.js';

/** `/problems`: what the `type` of a problem leads to */
@Controller('problems')
export class ProblemsController {
  /** What a problem means and what to do about it. */
  @Get(':name')
  explain(@Param('name') name: string): ProblemKind & { type: string } {
    if (!isProblemName(name)) throw new ProblemError('not-found', 'there is no such problem type');
    return { type: problemUri(name), ...PROBLEMS[name] };
  }
}

function isProblemName(name: string): name is ProblemName {
  return Object.hasOwn(PROBLEMS, name);
}

/**
 * For each promise of a workflow the SDK writes down the stack, through the source map, for the stack traces of the Web UI, and
 * cannot be told not to. Of the sagas here those show one generic runner, whatever the saga; they cost a third of its time in the
 * workflow thread. What an author's code throws while steps run ahead is logged with its stack by their activity; of what it throws
 * later the message is left.
 *
 * Holds where the module is loaded ahead of all workflows, as in the build: later the sandbox is frozen.
 */
if (!Object.isFrozen(Error)) Error.stackTraceLimit = 0;

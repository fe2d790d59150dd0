/**
 * The condition on `effect_key` for the effects of one saga: a range of keys, which needs no index but that of the keys
 * and looks into the one partition that holds them. `0` comes right behind `/`.
 *
 * @param sagaId an SQL expression, e.g. `$1`
 */
export function effectsOf(sagaId: string): string {
  return `effect_key > ${sagaId}::text || '/' and effect_key < ${sagaId}::text || '0'`;
}

/**
 * The condition on `settle.saga` for the sagas that run as steps of one: their ids bear its time, so that the key's index finds them
 * in the one partition that holds them all. `.` comes right behind `-`.
 *
 * @param sagaId an SQL expression, e.g. `$1`
 */
export function childrenOf(sagaId: string): string {
  const time = `left(${sagaId}::text, 16)`;
  return `id > ${time} and id < ${time} || '.' and parent_id = ${sagaId}`;
}

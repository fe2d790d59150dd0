/**
 * The condition on `effect_key` for the effects of one saga: a range of keys, which needs no index but that of the keys
 * and looks into the one partition that holds them. `0` comes right behind `/`.
 *
 * @param sagaId an SQL expression, e.g. `$1`
 */
export function effectsOf(sagaId: string): string {
  return `effect_key > ${sagaId}::text || '/' and effect_key < ${sagaId}::text || '0'`;
}

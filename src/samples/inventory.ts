import { inventory } from '../messages/index.js';
import type { StockRequest } from '../messages/inventory.js';
import type { Message, ParticipantBuilder, Transaction } from '../participant/index.js';
import { RejectedError } from '../saga/errors.js';

/** The inventory service: takes stock for an order, and puts it back. */
export function registerInventory(participant: ParticipantBuilder): ParticipantBuilder {
  return participant.handle(inventory.deduct, deduct).handle(inventory.release, release);
}

/**
 * Takes every item or none.
 *
 * @throws RejectedError `unknown-sku` or `out-of-stock`
 */
async function deduct(tx: Transaction, order: StockRequest, message: Message): Promise<{ reservationId: string }> {
  const wanted = sumBySku(order);
  const { rowCount } = await tx.query({
    name: 'inventory-deduct',
    text: `
      with wanted as (
        select sku, quantity from unnest($1::text[], $2::bigint[]) as wanted (sku, quantity)
      ), locked as materialized (
        -- in the order of their names, so that two orders never wait for each other
        select sku, wanted.quantity from inventory.stock join wanted using (sku) order by sku for no key update of stock
      ), taken as (
        update inventory.stock set on_hand = on_hand - locked.quantity, sold = sold + locked.quantity
          from locked where stock.sku = locked.sku and on_hand >= locked.quantity
        returning stock.sku, locked.quantity
      ), reservation as (
        insert into inventory.reservation (effect_key, saga_id, order_id, status) values ($3, $4, $5, 'taken')
      ), items as (
        insert into inventory.reservation_item (effect_key, sku, quantity) select $3, sku, quantity from taken
      )
      insert into inventory.movement (effect_key, saga_id, step, action, sku, quantity)
      select $3, $4, $6, 'do', sku, -quantity from taken`,
    values: [
      [...wanted.keys()],
      [...wanted.values()].map(String),
      message.effectKey,
      message.sagaId,
      order.orderId,
      message.effect.step,
    ],
  });
  // what was taken of the others is undone with the rejection
  if (rowCount !== wanted.size) throw await explainShortage(tx, message.effectKey, [...wanted.keys()]);
  return { reservationId: message.effectKey };
}

/** Puts back what the `do` of the same step took. */
async function release(tx: Transaction, _order: StockRequest, message: Message): Promise<{ released: number }> {
  const { rows } = await tx.query<{ released: number }>({
    name: 'inventory-release',
    text: `
      with released as (
        update inventory.reservation set status = 'released' where effect_key = $1 and status = 'taken' returning effect_key
      ), locked as materialized (
        select sku, item.quantity
          from inventory.stock
          join (select sku, quantity from inventory.reservation_item join released using (effect_key)) as item using (sku)
         order by sku for no key update of stock
      ), returned as (
        update inventory.stock set on_hand = on_hand + locked.quantity, sold = sold - locked.quantity
          from locked where stock.sku = locked.sku
        returning stock.sku, locked.quantity
      ), moved as (
        insert into inventory.movement (effect_key, saga_id, step, action, sku, quantity)
        select $2, $3, $4, 'undo', sku, quantity from returned returning quantity
      )
      select coalesce(sum(quantity), 0)::bigint as released from moved`,
    values: [message.doKey, message.effectKey, message.sagaId, message.effect.step],
  });
  const released = rows[0]?.released ?? 0;
  if (released === 0)
    throw new Error(`'${message.doKey}' is in the inbox but has no reservation to release; look into both`);
  return { released };
}

/** One entry per sku, however often an order names it. */
function sumBySku({ items }: StockRequest): Map<string, bigint> {
  const wanted = new Map<string, bigint>();
  for (const { sku, quantity } of items) wanted.set(sku, (wanted.get(sku) ?? 0n) + BigInt(quantity));
  // no stock is larger than the largest bigint of the database, so more than it is as much as it
  for (const [sku, quantity] of wanted) wanted.set(sku, quantity > MAX_BIGINT ? MAX_BIGINT : quantity);
  return wanted;
}

const MAX_BIGINT = 2n ** 63n - 1n;

/** Which sku stands in the way: those that exist are locked, so this sees what the deduction saw. */
async function explainShortage(tx: Transaction, effectKey: string, skus: readonly string[]): Promise<RejectedError> {
  const { rows } = await tx.query<{ sku: string; isKnown: boolean }>(
    `select wanted.sku, stock.sku is not null as "isKnown"
       from unnest($1::text[]) as wanted (sku)
       left join inventory.stock on stock.sku = wanted.sku
      where not exists (select from inventory.movement where effect_key = $2 and movement.sku = wanted.sku)
      order by 2, 1`,
    [skus, effectKey],
  );
  const [first] = rows;
  return first?.isKnown
    ? new RejectedError('out-of-stock', `there is not enough of '${first.sku}'`)
    : new RejectedError('unknown-sku', `there is no sku '${first?.sku}'`);
}

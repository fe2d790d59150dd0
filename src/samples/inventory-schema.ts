import type { ParticipantSchema } from '../participant/index.js';

/**
 * The database of the inventory service. Names of effects are effect keys, so that every row says which effect wrote it,
 * and its `txid` equals that of the effect's inbox row.
 */
export const inventorySchema: ParticipantSchema = {
  schema: 'inventory',
  migrations: [
    {
      name: '0001_stock',
      sql: `
create table inventory.stock (
  sku     text primary key,
  opening bigint not null check (opening >= 0),
  on_hand bigint not null check (on_hand >= 0),
  sold    bigint not null default 0 check (sold >= 0),
  constraint stock_conserved check (on_hand + sold = opening)
);

-- one row per applied deduction; its key is the effect key of the do
create table inventory.reservation (
  effect_key text primary key,
  saga_id    text not null,
  order_id   text not null,
  status     text not null check (status in ('taken', 'released')),
  txid       xid8 not null default pg_current_xact_id()
);

create table inventory.reservation_item (
  effect_key text not null references inventory.reservation (effect_key),
  sku        text not null references inventory.stock (sku),
  quantity   bigint not null check (quantity > 0),
  primary key (effect_key, sku)
);

-- every change of stock, signed, by the effect that made it
create table inventory.movement (
  id         bigint generated always as identity primary key,
  effect_key text not null,
  saga_id    text not null,
  step       text not null,
  action     text not null check (action in ('do', 'undo')),
  sku        text not null,
  quantity   bigint not null check (quantity <> 0),
  at         timestamptz not null default clock_timestamp(),
  txid       xid8 not null default pg_current_xact_id(),
  constraint movement_once unique (effect_key, sku)
);`,
    },
  ],
};

/** Opening stock of the demonstration; rows that are there already stay as they are. */
export const INVENTORY_SEED = `
insert into inventory.stock (sku, opening, on_hand)
values ('book', 1000000, 1000000), ('rare', 1, 1), ('sold-out', 0, 0)
on conflict (sku) do nothing`;

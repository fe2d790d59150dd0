import { redisScript } from './redis-script.js';

/**
 * What Redis has no command for, on one stream. In all of them KEYS[1] is the stream, ARGV[1] the group, ARGV[2] the consumer.
 *
 * An entry, from one state to the next:
 *
 *   in the stream ──read──▶ pending, of a consumer ──acknowledged──▶ gone, once every group has acknowledged it
 *                              │            ▲
 *                           given back    claimed, by anyone
 *                              ▼            │
 *                           pending, of `returned`
 */

/** Which of two places in a stream comes first; numbers above 2^53 never occur where Redis makes them. */
const BEFORE = `
local function before(a, b)
  local aMs, aSeq = string.match(a, '^(%d+)-(%d+)$')
  local bMs, bSeq = string.match(b, '^(%d+)-(%d+)$')
  if aMs ~= bMs then return tonumber(aMs) < tonumber(bMs) end
  return tonumber(aSeq) < tonumber(bSeq)
end
local function groups()
  local all = {}
  for _, flat in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
    local group = {}
    for at = 1, #flat, 2 do group[flat[at]] = flat[at + 1] end
    all[#all + 1] = group
  end
  return all
end
`;

/** Claims what is pending in the order of the stream, but for the entries that are held already. */
const CLAIM = `
local function claim(options)
  local taken, from = {}, '-'
  while #taken < options.count do
    local query = { 'XPENDING', KEYS[1], ARGV[1], 'IDLE', options.idle, from, '+', 100 }
    if options.owner ~= '' then query[#query + 1] = options.owner end
    local page = redis.call(unpack(query))
    for _, pending in ipairs(page) do
      if #taken < options.count and not options.held[pending[1]] then
        local entry = redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, pending[1])[1]
        if entry then taken[#taken + 1] = { pending[1], pending[4], entry[2] } end
      end
    end
    if #page < 100 then break end
    from = '(' .. page[#page][1]
  end
  return taken
end
local function heldFrom(first)
  local held = {}
  for at = first, #ARGV do held[ARGV[at]] = true end
  return held
end
`;

/** Makes one entry pending for anyone; ARGV[1] and ARGV[2] as everywhere. */
const GIVE_BACK = `
local function giveBack(id, deliveries)
  redis.call('XCLAIM', KEYS[1], ARGV[1], 'returned', 0, id, 'TIME', 1, 'RETRYCOUNT', deliveries, 'JUSTID')
end
`;

/** ARGV: group, consumer, idle for at least (ms), owner or '', how many, held entries…; returns raw entries. */
export const CLAIM_PENDING = redisScript(`${CLAIM}
return claim({ idle = ARGV[3], owner = ARGV[4], count = tonumber(ARGV[5]), held = heldFrom(6) })
`);

/**
 * The next entries for the one consumer of an ordered stream that has the lease, KEYS[2]; the check and the reading are one step,
 * so that a consumer that was paused takes nothing behind its successor's back.
 * ARGV: group, consumer, how many, '1' for what is pending rather than new, held entries….
 * Returns nil without the lease, else raw entries and, when there are none, the place up to which the group has read.
 */
export const TAKE_IN_ORDER = redisScript(`${BEFORE}${CLAIM}
if redis.call('GET', KEYS[2]) ~= ARGV[2] then return false end
local count, taken = tonumber(ARGV[3]), {}
if ARGV[4] == '1' then
  taken = claim({ idle = 0, owner = '', count = count, held = heldFrom(5) })
else
  local reply = redis.call('XREADGROUP', 'GROUP', ARGV[1], ARGV[2], 'COUNT', count, 'STREAMS', KEYS[1], '>')
  for _, entry in ipairs(reply and reply[1][2] or {}) do taken[#taken + 1] = { entry[1], 0, entry[2] } end
end
local last = '0-0'
if #taken == 0 then
  for _, group in ipairs(groups()) do
    if group['name'] == ARGV[1] then last = group['last-delivered-id'] end
  end
end
return { taken, last }
`);

/** ARGV: group, consumer, entries…: acknowledged; removed, too, where no other group still owes it an acknowledgement. */
export const ACKNOWLEDGE = redisScript(`${BEFORE}
local ids = { unpack(ARGV, 3) }
redis.call('XACK', KEYS[1], ARGV[1], unpack(ids))
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local gone, all = {}, groups()
for _, id in ipairs(ids) do
  local isOwed = false
  for _, group in ipairs(all) do
    local name, last = group['name'], group['last-delivered-id']
    if name ~= ARGV[1] and (before(last, id) or #redis.call('XPENDING', KEYS[1], name, id, id, 1) > 0) then isOwed = true end
  end
  if not isOwed then gone[#gone + 1] = id end
end
if #gone > 0 then redis.call('XDEL', KEYS[1], unpack(gone)) end
return #gone
`);

/** ARGV: group, consumer, '1' where handling had begun, entries…: given back for anyone to claim at once. */
export const RETURN_ENTRIES = redisScript(`${GIVE_BACK}
for at = 4, #ARGV do
  local pending = redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[at], ARGV[at], 1, ARGV[2])[1]
  if pending then giveBack(ARGV[at], pending[4] - (ARGV[3] == '1' and 0 or 1)) end
end
return 1
`);

/** ARGV: group, consumer, entries…: told to be alive where they are still this consumer's; returns how many were. */
export const KEEP_ENTRIES = redisScript(`
local kept = 0
for at = 3, #ARGV do
  if #redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[at], ARGV[at], 1, ARGV[2]) > 0 then
    redis.call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], 0, ARGV[at], 'JUSTID')
    kept = kept + 1
  end
end
return kept
`);

/** ARGV: group, consumer: gives back whatever is left and removes the consumer; removing it first would lose its entries. */
export const LEAVE_GROUP = redisScript(`${GIVE_BACK}
for _, pending in ipairs(redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 10000, ARGV[2])) do
  giveBack(pending[1], pending[4])
end
if #redis.call('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2]) > 0 then return 0 end
return redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
`);

/**
 * ARGV: group, consumer, gone for at least (ms). Removes consumers that have nothing and are gone, and entries that every group has
 * acknowledged: those that a group owed which is there no more.
 */
export const TIDY_STREAM = redisScript(`${BEFORE}
for _, flat in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local consumer = {}
  for at = 1, #flat, 2 do consumer[flat[at]] = flat[at + 1] end
  if consumer['pending'] == 0 and consumer['idle'] > tonumber(ARGV[3]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer['name'])
  end
end
local floor
for _, group in ipairs(groups()) do
  local first = redis.call('XPENDING', KEYS[1], group['name'])[2]
  if not first then
    local ms, seq = string.match(group['last-delivered-id'], '^(%d+)-(%d+)$')
    first = ms .. '-' .. string.format('%.0f', tonumber(seq) + 1)
  end
  if not floor or before(first, floor) then floor = first end
end
return floor and redis.call('XTRIM', KEYS[1], 'MINID', floor) or 0
`);

/** KEYS[1]: the lease; ARGV: group, consumer, ms. Taken where it is free, or had already. */
export const TAKE_LEASE = redisScript(`
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[2] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1
`);

/** KEYS[1]: the lease; ARGV: group, consumer, ms, 0 to let it go. Only its holder can. */
export const EXTEND_LEASE = redisScript(`
if redis.call('GET', KEYS[1]) ~= ARGV[2] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[3])
`);

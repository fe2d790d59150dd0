import { redisScript } from '../brokers/redis-script.js';

/**
 * The record of one effect, a hash: KEYS[1]; KEYS[2] is that of the same step's `do`. Each script is one step for Redis.
 *
 *   (none) ──begin──▶ pending ──finish──▶ applied | rejected        `until`: whose turn it is, and how long
 *     │                  ▲  │ turn over, or ended by an error        a pending record whose turn is over was perhaps applied
 *     │ undo first       └──┘ begin                                  rejected ──begin, higher revision──▶ pending
 *     ▼
 *   tombstone: also over a rejected `do`, and over a pending one whose turn is over and whose `undo` begins
 *
 * Fields: status, revision, hash, result, reason, turn (who), until (ms, by the clock of Redis).
 */
const READ = `
local function read(key)
  local flat, record = redis.call('HGETALL', key), {}
  for at = 1, #flat, 2 do record[flat[at]] = flat[at + 1] end
  return record
end
local function now()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end
`;

/**
 * ARGV: action, revision, hash, turn, ms of a turn, ms that records live, '1' for a message beyond the window.
 * Returns { word, how long a turn still lasts | revision, hash, result, reason }.
 */
export const BEGIN = redisScript(`${READ}
local action, revision, hash, turn = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4]
local record, doRecord, clock = read(KEYS[1]), read(KEYS[2]), now()
local status = record['status']
if ARGV[7] == '1' and not status and not doRecord['status'] then return { 'beyond-window' } end
if status == 'tombstone' then return { 'tombstone' } end
if status and tonumber(record['revision']) == revision and record['hash'] ~= hash then return { 'effect-key-reused' } end
if status == 'applied' then return { 'applied', record['result'] } end
-- what a higher revision has taken over stands for every lower one
if record['reason'] and revision <= tonumber(record['rejected']) then return { 'rejected', record['reason'] } end
if status == 'pending' and tonumber(record['until']) > clock then return { 'in-progress', record['until'] - clock } end
if action == 'undo' and status ~= 'pending' then
  local doStatus = doRecord['status']
  if doStatus == 'pending' and tonumber(doRecord['until']) > clock then
    return { 'in-progress', doRecord['until'] - clock }
  end
  if doStatus ~= 'applied' then
    redis.call('HSET', KEYS[2], 'status', 'tombstone', 'turn', '')
    redis.call('PEXPIRE', KEYS[2], ARGV[6])
  end
  if doStatus ~= 'applied' and doStatus ~= 'pending' then
    redis.call('HSET', KEYS[1], 'status', 'applied', 'revision', revision, 'hash', hash, 'result', 'null')
    redis.call('PEXPIRE', KEYS[1], ARGV[6])
    return { 'nothing-to-undo' }
  end
end
redis.call('HSET', KEYS[1], 'status', 'pending', 'revision', math.max(revision, tonumber(record['revision'] or 0)), 'hash', hash,
  'turn', turn, 'until', clock + ARGV[5])
redis.call('PEXPIRE', KEYS[1], ARGV[6])
return { 'begun' }
`);

/** ARGV: turn, ms from now; 0 ends it. Returns 1 where the turn was still this one. */
export const EXTEND = redisScript(`${READ}
local record = read(KEYS[1])
if record['status'] ~= 'pending' or record['turn'] ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'until', now() + ARGV[2])
return 1
`);

/** ARGV: turn, revision, 'applied' or 'rejected', result or reason, ms that records live. Returns 1 where it was written. */
export const FINISH = redisScript(`${READ}
local record = read(KEYS[1])
if record['status'] ~= 'pending' or record['turn'] ~= ARGV[1] then return 0 end
if ARGV[3] == 'applied' then
  redis.call('HSET', KEYS[1], 'status', 'applied', 'result', ARGV[4])
  redis.call('HDEL', KEYS[1], 'reason', 'rejected', 'turn', 'until')
else
  redis.call('HSET', KEYS[1], 'status', 'rejected', 'reason', ARGV[4], 'rejected', ARGV[2])
  redis.call('HDEL', KEYS[1], 'turn', 'until')
end
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return 1
`);

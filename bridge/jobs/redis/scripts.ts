/**
 * The writes that several bridges may try at the same moment, as scripts that Redis runs one at a time.
 * KEYS are always: jobs (hash id → record), open (sorted set of ids by order of acceptance), ended (sorted set
 * by time), tags (hash of turns).
 */

/**
 * Accepts a job. ARGV: id, record, limit, owner. Returns -1 when the queue is full, else the job's priority.
 * Clients take turns by start-time fair queueing (Goyal, Vin, Cheng 1996, §2): a job's tag is one more than
 * its client's last, or that of the job served last where that is larger; the lowest tag is served first.
 */
export const ADD = `
local open = redis.call('ZCARD', KEYS[2])
if open >= tonumber(ARGV[3]) then return -1 end
if open == 0 then redis.call('DEL', KEYS[4]) end
local served = tonumber(redis.call('HGET', KEYS[4], 'served') or '0')
local last = tonumber(redis.call('HGET', KEYS[4], 'of:' .. ARGV[4]) or '0')
local tag = math.min(math.max(served, last + 1), 2097151)
redis.call('HSET', KEYS[4], 'of:' .. ARGV[4], tag)
local top = redis.call('ZREVRANGE', KEYS[2], 0, 0, 'WITHSCORES')
redis.call('ZADD', KEYS[2], (tonumber(top[2] or '0')) + 1, ARGV[1])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return tag`;

/** Writes an open job's record. ARGV: id, record, tag served (0: leave). Returns 0 when it has ended. */
export const UPDATE = `
if not redis.call('ZSCORE', KEYS[2], ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
if tonumber(ARGV[3]) > 0 then redis.call('HSET', KEYS[4], 'served', ARGV[3]) end
return 1`;

/**
 * Gives a job its one outcome. ARGV: id, record, time, horizon, count. Returns 0 when it had one. Ended jobs
 * before the horizon and beyond the count are forgotten.
 */
export const END = `
if redis.call('ZREM', KEYS[2], ARGV[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[3], ARGV[3], ARGV[1])
local old = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', '(' .. ARGV[4])
local many = redis.call('ZCARD', KEYS[3]) - tonumber(ARGV[5])
if many > 0 then
  for _, id in ipairs(redis.call('ZRANGE', KEYS[3], 0, many - 1)) do old[#old + 1] = id end
end
for _, id in ipairs(old) do
  redis.call('ZREM', KEYS[3], id)
  redis.call('HDEL', KEYS[1], id)
end
return 1`;

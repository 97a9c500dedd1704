-- Shuts a host for everyone, because the provider said so; never shortens what is shut longer.
--
-- KEYS  1 quota hash
-- ARGV  1 for how long (ms)
-- returns nothing
local call = redis.call
local clock = call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local shut_until = math.max(now + ARGV[1], tonumber(call('HGET', KEYS[1], 'shut_until') or 0))
local life = string.format('%.0f', shut_until - now + 172800000)
-- Needs no room, and so lets HSET through when Redis is full.
call('PEXPIRE', KEYS[1], life)
call('HSET', KEYS[1], 'shut_until', string.format('%.0f', shut_until))
call('PEXPIRE', KEYS[1], life)

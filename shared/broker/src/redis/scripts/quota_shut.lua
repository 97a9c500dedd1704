-- Blocks a host for all processes, because the provider asked for it. Never shortens a block.
--
-- KEYS  1 quota hash
-- ARGV  1 for how long (ms)
-- returns nothing
local call = redis.call
local clock = call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local shut_until = math.max(now + ARGV[1], tonumber(call('HGET', KEYS[1], 'shut_until') or 0))
local life = string.format('%.0f', shut_until - now + 172800000)
-- PEXPIRE needs no memory; after it a full Redis accepts HSET.
call('PEXPIRE', KEYS[1], life)
call('HSET', KEYS[1], 'shut_until', string.format('%.0f', shut_until))
call('PEXPIRE', KEYS[1], life)

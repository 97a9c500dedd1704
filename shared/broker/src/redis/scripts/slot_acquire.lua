-- Takes one of the slots that all processes share at a host. A slot expires after its time to live.
--
-- KEYS  1 sorted set of holders by expiry (ms)
-- ARGV  1 holder  2 limit  3 time to live (ms)
-- returns 1 if it was taken or already held (its time restarts), 0 if all are taken
--
-- ZREMRANGEBYSCORE needs no memory; after it a full Redis accepts ZADD.
local call = redis.call
local clock = call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now))
if not call('ZSCORE', KEYS[1], ARGV[1]) and call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
call('ZADD', KEYS[1], string.format('%.0f', now + ARGV[3]), ARGV[1])
local life = tonumber(ARGV[3])
if call('PTTL', KEYS[1]) < life then call('PEXPIRE', KEYS[1], ARGV[3]) end
return 1

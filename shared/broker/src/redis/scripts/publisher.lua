-- The outbox that publishes a job.
--
-- KEYS  1 watermarks
-- ARGV  1 job
-- returns {outbox, seq, hash, rows of the whole list or '-', silent for (ms)} | nil
local call = redis.call
local mark = call('HGET', KEYS[1], ARGV[1])
local seq, hash, outbox, seen, rows = (mark or ''):match('^(%d+) (%S+) (%S+) (%d+) (%S+)$')
if not outbox then return nil end
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
return {outbox, tonumber(seq), hash, rows, math.max(0, now - tonumber(seen))}

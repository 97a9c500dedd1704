-- Makes another outbox the publisher of a job.
--
-- KEYS  1 watermarks
-- ARGV  1 job  2 its publisher so far  3 the new one
-- returns 1, or 0 if it has another publisher by now
local call = redis.call
local mark = call('HGET', KEYS[1], ARGV[1])
local before, outbox, rows = (mark or ''):match('^(%d+ %S+) (%S+) %d+ (%S+)$')
if outbox ~= ARGV[2] then return 0 end
local time = call('TIME')
local seen = string.format('%d', time[1] * 1000 + math.floor(time[2] / 1000))
call('HSET', KEYS[1], ARGV[1], table.concat({before, ARGV[3], seen, rows}, ' '))
return 1

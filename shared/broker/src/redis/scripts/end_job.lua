-- Drops everything that the stream knows of a job whose batches are all confirmed. What an outbox
-- has published stays known for some time: another outbox may come with the same job.
--
-- KEYS  1 watermarks  2 batches  3 spans  4 ended
-- ARGV  1 job  2 how long the end of a job is kept (ms)
-- returns nothing
--
-- Looks at every record, not only at those that should be there: a crash may have left some, and an
-- operator may have deleted a record whose span is left.
local call = redis.call
local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local mark = call('HGET', KEYS[1], ARGV[1])
if mark and mark:match('^%d+ %S+ %S+ %d+ %S+$') then
  call('ZADD', KEYS[4], now, ARGV[1])
else
  call('HDEL', KEYS[1], ARGV[1])
end
for _, job in ipairs(call('ZRANGE', KEYS[4], '-inf', now - ARGV[2], 'BYSCORE', 'LIMIT', 0, 100)) do
  call('HDEL', KEYS[1], job)
  call('ZREM', KEYS[4], job)
end
local records, spans = {}, {}
for _, name in ipairs(call('HKEYS', KEYS[2])) do
  if name:sub(1, #ARGV[1]) == ARGV[1] then records[#records + 1] = name end
end
for _, span in ipairs(call('ZRANGE', KEYS[3], 0, -1)) do
  if span:find(' ' .. ARGV[1] .. ' ', 1, true) then spans[#spans + 1] = span end
end
for from = 1, #records, 1000 do
  call('HDEL', KEYS[2], unpack(records, from, math.min(from + 999, #records)))
end
for from = 1, #spans, 1000 do
  call('ZREM', KEYS[3], unpack(spans, from, math.min(from + 999, #spans)))
end
return redis.status_reply('OK')

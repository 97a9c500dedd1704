-- Drops everything that the stream knows of a job whose batches are all confirmed.
--
-- KEYS  1 watermarks  2 batches  3 spans
-- ARGV  1 job
-- returns nothing
--
-- Looks at every record, not only at those that should be there: a crash may have left some, and an
-- operator may have deleted a record whose span is left.
local call = redis.call
call('HDEL', KEYS[1], ARGV[1])
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

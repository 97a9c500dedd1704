-- What the stream knows of appended batches of a job, read in one step: nothing can be removed
-- between the count of what is acknowledged and the look at what is left.
--
-- KEYS  1 tasks stream  2 control stream  3 batches  4 watermarks
-- ARGV  1 job  2 the outbox that asks  3.. seqs
-- returns for each seq {size, acknowledged, 1 if an entry is left in the stream} | nil
-- errors  WRONGTYPE when a key has a foreign type
--
-- Notes that this outbox is still at work. A full Redis does not take that, and answers all the same.
local call = redis.call
local mark = call('HGET', KEYS[4], ARGV[1])
local before, outbox, rows = (mark or ''):match('^(%d+ %S+) (%S+) %d+ (%S+)$')
if outbox and outbox == ARGV[2] then
  local time = call('TIME')
  local seen = string.format('%d', time[1] * 1000 + math.floor(time[2] / 1000))
  redis.pcall('HSET', KEYS[4], ARGV[1], table.concat({before, outbox, seen, rows}, ' '))
end
local function left(stream, first, last)
  return first ~= '-' and #call('XRANGE', stream, first, last, 'COUNT', 1) > 0
end
local records = {}
for i = 3, #ARGV do
  local name = ARGV[1] .. ' ' .. ARGV[i]
  local record = call('HGET', KEYS[3], name)
  if record then
    local size, tasks_first, tasks_last, control_first, control_last =
      record:match('^%S+ (%d+) (%S+) (%S+) (%S+) (%S+)$')
    local any = left(KEYS[1], tasks_first, tasks_last) or left(KEYS[2], control_first, control_last)
    records[i - 2] = {tonumber(size), tonumber(call('HGET', KEYS[3], name .. ' acked') or 0), any and 1 or 0}
  else
    records[i - 2] = false
  end
end
return records

-- Counts unfinished entries, and finds when the next pending entry falls due. Read only.
--
-- KEYS  1 tasks stream  2 control stream
-- ARGV  1 group  2 claim idle (ms)  3 how many pending entries of a lane to check
--       4 the consumer of parked entries
-- returns {tasks, control, undelivered, pending, pending that are parked, age of the oldest pending
--          entry (ms), ms until the next pending entry falls due (-1 if none is pending), age of
--          the oldest undelivered entry (ms)}
--
-- A stream without a group counts as undelivered, a missing stream as empty. Above the limit the
-- due time is that of the checked entries; the true one is the same or earlier.
local call = redis.call
local clock = call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local lengths, pending, parked, oldest, due = {0, 0}, 0, 0, 0, -1
local waiting = 0
local function age(id)
  return math.max(0, now - tonumber(id:match('^%d+')))
end
for i = 1, 2 do
  if call('EXISTS', KEYS[i]) == 1 then
    lengths[i] = call('XLEN', KEYS[i])
    local grouped, unread = false, '-'
    for _, group in ipairs(call('XINFO', 'GROUPS', KEYS[i])) do
      if group[2] == ARGV[1] then grouped, unread = true, '(' .. group[8] end
    end
    local first = call('XRANGE', KEYS[i], unread, '+', 'COUNT', 1)[1]
    if first then waiting = math.max(waiting, age(first[1])) end
    local summary = grouped and call('XPENDING', KEYS[i], ARGV[1])
    if summary and summary[1] > 0 then
      pending = pending + math.min(summary[1], lengths[i])
      for _, owner in ipairs(summary[4] or {}) do
        if owner[1] == ARGV[4] then parked = parked + tonumber(owner[2]) end
      end
      oldest = math.max(oldest, age(summary[2]))
      for _, entry in ipairs(call('XPENDING', KEYS[i], ARGV[1], '-', '+', ARGV[3])) do
        local left = math.max(0, ARGV[2] - entry[3])
        if due < 0 or left < due then due = left end
      end
    end
  end
end
local all = lengths[1] + lengths[2]
return {lengths[1], lengths[2], all - pending, pending, parked, oldest, due, waiting}

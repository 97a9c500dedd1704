-- Acknowledges and deletes entries whose result is committed (I3), and what was counted of them. What was
-- really deleted is counted in the record of its batch: that proves later that the batch is done.
--
-- KEYS  1 stream  2 attempts  3 batches  4 spans
-- ARGV  1 group  2 lane  3.. ids, ascending
-- returns how many were still in the stream
--
-- The owner does not matter, because the work is done. The first command of each round needs no
-- memory, and after it Redis refuses none of the others: a full Redis can be drained.
local call = redis.call
local expects = {[2] = 'hash', [3] = 'hash', [4] = 'zset'}
local counted = false
for i = 2, 4 do
  local kind = call('TYPE', KEYS[i]).ok
  if i == 2 then counted = kind ~= 'none' end
  if kind ~= 'none' and kind ~= expects[i] then
    return redis.error_reply('WRONGTYPE ' .. KEYS[i] .. ' is a ' .. kind)
  end
end
local function padded(id)
  local ms, number = id:match('^(%d+)%-(%d+)$')
  return string.format('%012x-%08x', tonumber(ms), tonumber(number))
end
-- The batch of an entry: the last span that begins at or before it, if it reaches that far.
local function batch_of(id)
  local found = call('ZREVRANGEBYLEX', KEYS[4], '[' .. ARGV[2] .. ' ' .. id .. '~', '[' .. ARGV[2] .. ' ', 'LIMIT', 0, 1)[1]
  if not found then return nil end
  local last, name = found:match('^%S+ %S+ (%S+) (.+)$')
  if id > last then return nil end
  return last, name
end
local ended, from = 0, 3
while from <= #ARGV do
  local last, name = batch_of(padded(ARGV[from]))
  local to = from
  while to < #ARGV and to - from < 999 do
    local id = padded(ARGV[to + 1])
    if last then
      if id > last then break end
    elseif batch_of(id) then
      break
    end
    to = to + 1
  end
  call('XACK', KEYS[1], ARGV[1], unpack(ARGV, from, to))
  local deleted = call('XDEL', KEYS[1], unpack(ARGV, from, to))
  if counted then
    local crashes = {}
    for i = from, to do crashes[#crashes + 1] = ARGV[i] .. ' crashes' end
    call('HDEL', KEYS[2], unpack(ARGV, from, to))
    call('HDEL', KEYS[2], unpack(crashes))
  end
  if name and deleted > 0 then call('HINCRBY', KEYS[3], name .. ' acked', deleted) end
  ended = ended + deleted
  from = to + 1
end
return ended

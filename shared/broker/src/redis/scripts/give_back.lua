-- Gives entries back, each to fall due after its delay. This takes the delivery off, and counts only
-- a failed attempt or a crash of a trial (I7).
--
-- KEYS  1 stream  2 attempts
-- ARGV  1 group  2 consumer  3 the consumer that owns them until then
--       4.. three for each entry: id, idle time to set (ms), `attempt`, `crash` or nothing
-- returns the ids that the consumer did not own any more; they stay unchanged
--
-- XCLAIM needs no memory and comes first, so a full Redis does not refuse HINCRBY half-way.
local call = redis.call
local kind = call('TYPE', KEYS[2]).ok
if kind ~= 'none' and kind ~= 'hash' then
  return redis.error_reply('WRONGTYPE ' .. KEYS[2] .. ' is a ' .. kind)
end
local lost = {}
for i = 4, #ARGV, 3 do
  local id = ARGV[i]
  local pending = call('XPENDING', KEYS[1], ARGV[1], id, id, '1', ARGV[2])[1]
  local moved = pending and call('XCLAIM', KEYS[1], ARGV[1], ARGV[3], '0', id, 'IDLE', ARGV[i + 1],
    'RETRYCOUNT', math.max(0, pending[4] - 1), 'JUSTID')[1]
  if not moved then
    lost[#lost + 1] = id
  elseif ARGV[i + 2] == 'attempt' then
    call('HINCRBY', KEYS[2], id, '1')
  elseif ARGV[i + 2] == 'crash' then
    call('HINCRBY', KEYS[2], id .. ' crashes', '1')
  end
end
return lost

-- Acknowledges and deletes entries whose result is committed (I3), and their attempts.
--
-- KEYS  1 stream  2 attempts
-- ARGV  1 group  2.. ids
-- returns how many were still in the stream
--
-- The owner does not matter, because the work is done. None of these commands needs memory, so a
-- full Redis can be drained.
local kind = redis.call('TYPE', KEYS[2]).ok
if kind ~= 'none' and kind ~= 'hash' then
  return redis.error_reply('WRONGTYPE ' .. KEYS[2] .. ' is a ' .. kind)
end
local ended = 0
for from = 2, #ARGV, 1000 do
  local to = math.min(from + 999, #ARGV)
  redis.call('XACK', KEYS[1], ARGV[1], unpack(ARGV, from, to))
  ended = ended + redis.call('XDEL', KEYS[1], unpack(ARGV, from, to))
  redis.call('HDEL', KEYS[2], unpack(ARGV, from, to))
end
return ended

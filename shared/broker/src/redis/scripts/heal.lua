#!lua flags=allow-oom
-- Repairs an incomplete stream; a complete one stays unchanged.
--
-- KEYS  1 tasks stream  2 control stream  3 watermarks  4 epoch  5 attempts  6 control attempts
--       7 batches  8 spans  9 ended
-- ARGV  1 group  2 the new epoch, if one is needed
-- returns {epoch, 1 if anything was missing}
-- errors  WRONGTYPE when a key has a foreign type
--
-- A group is created at the very beginning, never at the end: the entries of the stream are not
-- processed yet (I6). A group that still exists keeps its leases. A full Redis takes it too: a worker
-- that starts there must be able to drain the other streams.
local call = redis.call
local expects = {'stream', 'stream', 'hash', 'string', 'hash', 'hash', 'hash', 'zset', 'zset'}
for i = 1, 9 do
  local kind = call('TYPE', KEYS[i]).ok
  if kind ~= 'none' and kind ~= expects[i] then
    return redis.error_reply('WRONGTYPE ' .. KEYS[i] .. ' is a ' .. kind)
  end
end
local lost = {}
for i = 1, 2 do
  local found = false
  if call('EXISTS', KEYS[i]) == 1 then
    for _, group in ipairs(call('XINFO', 'GROUPS', KEYS[i])) do
      if group[2] == ARGV[1] then found = true end
    end
  end
  if not found then lost[#lost + 1] = KEYS[i] end
end
local epoch = call('GET', KEYS[4])
if epoch and #lost == 0 then return {epoch, 0} end
call('SET', KEYS[4], ARGV[2])
for _, stream in ipairs(lost) do call('XGROUP', 'CREATE', stream, ARGV[1], '0', 'MKSTREAM') end
call('DEL', KEYS[3], KEYS[5], KEYS[6], KEYS[7], KEYS[8], KEYS[9])
return {ARGV[2], 1}

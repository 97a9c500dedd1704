-- Restarts the leases of entries that the consumer still owns; all others stay unchanged.
--
-- KEYS  1 stream
-- ARGV  1 group  2 consumer  3.. ids
-- returns the ids that it lost
local call = redis.call
local owned, kept, lost = {}, {}, {}
for i = 3, #ARGV do
  if call('XPENDING', KEYS[1], ARGV[1], ARGV[i], ARGV[i], '1', ARGV[2])[1] then
    owned[#owned + 1] = ARGV[i]
  end
end
for from = 1, #owned, 1000 do
  local page = {unpack(owned, from, math.min(from + 999, #owned))}
  -- JUSTID does not change the number of deliveries.
  page[#page + 1] = 'JUSTID'
  for _, id in ipairs(call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], '0', unpack(page))) do
    kept[id] = true
  end
end
for i = 3, #ARGV do
  if not kept[ARGV[i]] then lost[#lost + 1] = ARGV[i] end
end
return lost

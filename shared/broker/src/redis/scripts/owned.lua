-- Lists the entries that a consumer owns, in order. After a lost reply it finds what was delivered.
--
-- KEYS  1 stream  2 attempts
-- ARGV  1 group  2 consumer  3 after this entry  4 count
-- returns {{id, deliveries, attempts, crashes, {name, value, ...}}, ...}
--
-- An entry that is pending but not in the stream is finished: XACK drops it.
local call = redis.call
local entries = {}
for _, pending in ipairs(call('XPENDING', KEYS[1], ARGV[1], '(' .. ARGV[3], '+', ARGV[4], ARGV[2])) do
  local id = pending[1]
  local found = call('XRANGE', KEYS[1], id, id)[1]
  if found then
    local counted = call('HMGET', KEYS[2], id, id .. ' crashes')
    entries[#entries + 1] = {id, pending[4], tonumber(counted[1] or 0), tonumber(counted[2] or 0), found[2]}
  else
    call('XACK', KEYS[1], ARGV[1], id)
  end
end
return entries

-- Removes a consumer's name if it owns nothing in either lane and has been idle long enough.
--
-- KEYS  1 tasks stream  2 control stream
-- ARGV  1 group  2 consumer  3 idle (ms)
-- returns REMOVED | BUSY | ACTIVE | UNKNOWN
--
-- One script, because a consumer that is deleted with entries leaves them without an owner.
local call = redis.call
local known, active = {}, false
for i = 1, 2 do
  local grouped = false
  if call('EXISTS', KEYS[i]) == 1 then
    for _, group in ipairs(call('XINFO', 'GROUPS', KEYS[i])) do
      if group[2] == ARGV[1] then grouped = true end
    end
  end
  if grouped then
    for _, consumer in ipairs(call('XINFO', 'CONSUMERS', KEYS[i], ARGV[1])) do
      local info = {}
      for n = 1, #consumer, 2 do info[consumer[n]] = consumer[n + 1] end
      if info['name'] == ARGV[2] then
        if info['pending'] > 0 then return 'BUSY' end
        if info['idle'] < tonumber(ARGV[3]) then active = true end
        known[#known + 1] = KEYS[i]
      end
    end
  end
end
if active then return 'ACTIVE' end
if #known == 0 then return 'UNKNOWN' end
for _, stream in ipairs(known) do call('XGROUP', 'DELCONSUMER', stream, ARGV[1], ARGV[2]) end
return 'REMOVED'

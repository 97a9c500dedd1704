-- Lists the consumers, how much each owns, and how long each has been idle. Read only.
--
-- KEYS  1 tasks stream  2 control stream
-- ARGV  1 group
-- returns {{name, pending, idle (ms)}, ...}, once for each lane that has the name
local call = redis.call
local found = {}
for i = 1, 2 do
  if call('EXISTS', KEYS[i]) == 1 then
    for _, group in ipairs(call('XINFO', 'GROUPS', KEYS[i])) do
      if group[2] == ARGV[1] then
        for _, consumer in ipairs(call('XINFO', 'CONSUMERS', KEYS[i], ARGV[1])) do
          local info = {}
          for n = 1, #consumer, 2 do info[consumer[n]] = consumer[n + 1] end
          found[#found + 1] = {info['name'], info['pending'], info['idle']}
        end
      end
    end
  end
end
return found

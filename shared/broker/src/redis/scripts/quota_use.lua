-- Reads the use of each window, and how long the host has no room. Read only.
--
-- KEYS  1 quota hash
-- ARGV  for each window: name, length (ms), limit ('' for none)
-- returns {used, ... in the order of ARGV, ms until there is room again, 0 if there is now}
local call = redis.call
local clock = call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local answer = {}
local shut_until = tonumber(call('HGET', KEYS[1], 'shut_until') or 0)
shut_until = math.max(shut_until, now)
for i = 1, #ARGV, 3 do
  local length, limit = tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
  local index = math.floor(now / length)
  local stored = call('HMGET', KEYS[1], ARGV[i] .. '_index', ARGV[i])
  local used = 0
  if tonumber(stored[1] or -1) == index then used = tonumber(stored[2] or 0) end
  if limit and used >= limit then shut_until = math.max(shut_until, (index + 1) * length) end
  answer[#answer + 1] = used
end
answer[#answer + 1] = shut_until - now
return answer

-- Reserves weight in every window of a host, or returns how long the caller must wait. The result is
-- a duration because the caller's clock may differ.
--
-- KEYS  1 quota hash
-- ARGV  1 weight  2 '1' to keep a tenth of each window free  3.. for each window: name, length (ms),
--       limit ('' for none)
-- returns {1, now (ms)} when granted | {0, for how long (ms)}
--
-- Windows are aligned to UTC, as providers count them. A window with another index than the current
-- one is empty. A weight above a whole window is granted when the window is empty, because it would
-- never fit otherwise. PEXPIRE comes first because it needs no memory: workers must be able to drain
-- a full Redis.
local call = redis.call
local clock = call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local weight, keep_back = tonumber(ARGV[1]), ARGV[2] == '1'
local shut = tonumber(call('HGET', KEYS[1], 'shut_until') or 0)
if shut > now then return {0, shut - now} end
local fields, shut_until = {}, 0
for i = 3, #ARGV, 3 do
  local name, length, limit = ARGV[i], tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
  local index = math.floor(now / length)
  local stored = call('HMGET', KEYS[1], name .. '_index', name)
  local used = 0
  if tonumber(stored[1] or -1) == index then used = tonumber(stored[2] or 0) end
  if limit then
    local allowed = limit
    if keep_back then allowed = limit - math.floor(limit / 10) end
    if used > 0 and used + weight > allowed then shut_until = math.max(shut_until, (index + 1) * length) end
  end
  fields[#fields + 1] = name .. '_index'
  fields[#fields + 1] = string.format('%.0f', index)
  fields[#fields + 1] = name
  fields[#fields + 1] = string.format('%.0f', used + weight)
end
if shut_until > 0 then return {0, shut_until - now} end
call('PEXPIRE', KEYS[1], '172800000')
call('HSET', KEYS[1], unpack(fields))
call('PEXPIRE', KEYS[1], '172800000')
return {1, now}

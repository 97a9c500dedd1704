-- Corrects a reservation to what the provider counted, in the windows that are still current.
--
-- KEYS  1 quota hash
-- ARGV  1 reserved  2 used  3 when it was reserved (ms)  4.. for each window: name, length (ms)
-- returns nothing
local call = redis.call
local difference, at = ARGV[2] - ARGV[1], tonumber(ARGV[3])
for i = 4, #ARGV, 2 do
  local stored = call('HMGET', KEYS[1], ARGV[i] .. '_index', ARGV[i])
  if tonumber(stored[1] or -1) == math.floor(at / ARGV[i + 1]) then
    local used = math.max(0, tonumber(stored[2] or 0) + difference)
    -- PEXPIRE needs no memory; after it a full Redis accepts HSET.
    call('PEXPIRE', KEYS[1], '172800000')
    call('HSET', KEYS[1], ARGV[i], string.format('%.0f', used))
  end
end

-- Takes over due entries, each as one more delivery.
--
-- KEYS  1 stream  2 attempts
-- ARGV  1 group  2 consumer  3 claim idle (ms)  4 after this entry  5 how many to check
--       6 how many to take  7 how many suspects to take  8 from this delivery on an entry is a suspect
-- returns {the entry after which the next scan begins,
--          {{id, deliveries, attempts, crashes, {name, value, ...}}, ...}}
--
-- The scan continues where the last one ended and wraps at the end, so a busy head never starves the
-- tail. It stops at the first entry without room that is not a suspect. It skips a suspect without
-- room and finds it again after the next wrap.
local call = redis.call
local idle, look = tonumber(ARGV[3]), tonumber(ARGV[5])
local room, suspects, suspect_from = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local take_any = room > 0
local ids, deliveries, position = {}, {}, ARGV[4]
local page = call('XPENDING', KEYS[1], ARGV[1], '(' .. ARGV[4], '+', look)
local all = #page < look
for _, pending in ipairs(page) do
  local id, coming = pending[1], pending[4] + 1
  if pending[3] >= idle then
    if coming >= suspect_from then
      if suspects > 0 then
        suspects = suspects - 1
        ids[#ids + 1] = id
        deliveries[id] = coming
      end
    elseif room > 0 then
      room = room - 1
      ids[#ids + 1] = id
      deliveries[id] = coming
    elseif take_any then
      all = false
      break
    end
  end
  position = id
end
if all then position = '0-0' end
if #ids == 0 then return {position, {}} end
-- Read before anything is written: a key of a foreign type must not cost a delivery.
local names = {}
for i, id in ipairs(ids) do names[2 * i - 1], names[2 * i] = id, id .. ' crashes' end
local counted = {}
for i, count in ipairs(call('HMGET', KEYS[2], unpack(names))) do counted[names[i]] = tonumber(count or 0) end
local entries = {}
-- An entry that is pending but not in the stream is finished: XCLAIM drops it.
for _, entry in ipairs(call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], '0', unpack(ids))) do
  local id = entry[1]
  entries[#entries + 1] = {id, deliveries[id], counted[id], counted[id .. ' crashes'], entry[2]}
end
return {position, entries}

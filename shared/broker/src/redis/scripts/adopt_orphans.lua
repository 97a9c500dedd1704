-- Finds delivered entries without an owner in one page of the stream, and makes them due at once.
--
-- KEYS  1 stream
-- ARGV  1 group  2 the consumer of returned entries  3 claim idle (ms)  4 after this entry  5 page
-- returns {the entry after which the next page begins, how many were found}
--
-- An acknowledged entry leaves the stream. So an entry that was delivered, is still in the stream
-- and is not pending has lost its owner: an operator deleted a consumer.
local call = redis.call
local delivered
local exists = call('EXISTS', KEYS[1]) == 1
for _, group in ipairs(exists and call('XINFO', 'GROUPS', KEYS[1]) or {}) do
  local info = {}
  for i = 1, #group, 2 do info[group[i]] = group[i + 1] end
  if info['name'] == ARGV[1] then delivered = info['last-delivered-id'] end
end
if not delivered then return redis.error_reply('NOGROUP the group is missing') end
local page = tonumber(ARGV[5])
local entries = call('XRANGE', KEYS[1], '(' .. ARGV[4], delivered, 'COUNT', page)
if #entries == 0 then return {'0-0', 0} end
local owned = {}
local pending = call('XPENDING', KEYS[1], ARGV[1], entries[1][1], entries[#entries][1], 2 * page)
for _, entry in ipairs(pending) do owned[entry[1]] = true end
local found = 0
for _, entry in ipairs(entries) do
  local id = entry[1]
  -- Finished entries that are still pending can fill the list. Then each entry is queried by itself.
  if not owned[id] and (#pending < 2 * page or not call('XPENDING', KEYS[1], ARGV[1], id, id, '1')[1]) then
    call('XCLAIM', KEYS[1], ARGV[1], ARGV[2], '0', id, 'IDLE', ARGV[3], 'RETRYCOUNT', '1', 'FORCE', 'JUSTID')
    found = found + 1
  end
end
if #entries < page then return {'0-0', found} end
return {entries[#entries][1], found}

-- Drops the records of confirmed batches of a job.
--
-- KEYS  1 batches  2 spans
-- ARGV  1 job  2 first seq  3 last seq
-- returns nothing
local call = redis.call
local function padded(id)
  local ms, number = id:match('^(%d+)%-(%d+)$')
  return string.format('%012x-%08x', tonumber(ms), tonumber(number))
end
for seq = tonumber(ARGV[2]), tonumber(ARGV[3]) do
  local name = ARGV[1] .. ' ' .. string.format('%d', seq)
  local record = call('HGET', KEYS[1], name)
  if record then
    local _, _, tasks_first, tasks_last, control_first, control_last =
      record:match('^(%S+) (%d+) (%S+) (%S+) (%S+) (%S+)$')
    for lane, span in pairs({tasks = {tasks_first, tasks_last}, control = {control_first, control_last}}) do
      if span[1] ~= '-' then
        call('ZREM', KEYS[2], table.concat({lane, padded(span[1]), padded(span[2]), name}, ' '))
      end
    end
    call('HDEL', KEYS[1], name, name .. ' acked')
  end
end
return redis.status_reply('OK')

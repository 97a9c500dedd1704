-- Appends one frozen batch, all of it or nothing, and at most once (I1, I2).
--
-- KEYS  1 tasks stream  2 control stream  3 watermarks  4 epoch  5 batches  6 spans
-- ARGV  1 group  2 job  3 seq  4 hash  5 previous hash ('' before the first)  6 floor
--       7 high water  8 the consumer of parked entries  9 the outbox ('' where no other can have the
--       job)  10 rows of the whole list ('-' before the last batch)  11 number of tasks  12.. payloads:
--       the tasks first, then the control messages; each a JSON array of names and values in turn
-- returns {'SENT'} | {'DUPLICATE'} | {'CONFLICT'} | {'GAP', expected} | {'FULL', unfinished}
--         | {'TAKEN', outbox, seq, hash, rows or '-', silent for (ms)}
-- errors  NOGROUP when the stream is incomplete, WRONGTYPE when a key has a foreign type
--
-- A watermark is "seq hash outbox seen rows": the last batch of a job, the outbox that publishes it,
-- when it was last heard of, and the rows of the whole list. A record, under "job seq" in the batches, is
-- "hash size | first and last entry in each lane", with '-' for an absent one; "job seq acked" counts
-- its acknowledged entries. The spans find the batch of an entry: "lane first last job seq", sorted.
--
-- A batch below the watermark is appended again where its record does not show that it is finished
-- or on its way: somebody else has removed its entries, or the record itself is gone.
--
-- Every step that can fail comes before the first XADD, and a full Redis refuses XADD. So a batch is
-- never written in part. Parked entries do not count against the high water, up to as many again: a
-- paused job must not block the others.
local call, decode = redis.call, cjson.decode
local expects = {'stream', 'stream', 'hash', 'string', 'hash', 'zset'}
local missing = false
for i = 1, 6 do
  local kind = call('TYPE', KEYS[i]).ok
  if kind == 'none' then
    if i ~= 3 and i < 5 then missing = true end
  elseif kind ~= expects[i] then
    return redis.error_reply('WRONGTYPE ' .. KEYS[i] .. ' is a ' .. kind)
  end
end
for i = 1, 2 do
  if missing then break end
  local found = false
  for _, group in ipairs(call('XINFO', 'GROUPS', KEYS[i])) do
    if group[2] == ARGV[1] then found = true end
  end
  missing = not found
end
if missing then return redis.error_reply('NOGROUP the stream is not whole') end

local job, seq, hash, floor = ARGV[2], tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[6])
local name = job .. ' ' .. ARGV[3]
local record = call('HGET', KEYS[5], name)

-- Whether its entries are acknowledged, or one of them is still in the stream.
local function is_known()
  local size, tasks_first, tasks_last, control_first, control_last =
    record:match('^%S+ (%d+) (%S+) (%S+) (%S+) (%S+)$')
  if tonumber(call('HGET', KEYS[5], name .. ' acked') or 0) >= tonumber(size) then return true end
  local function left(stream, first, last)
    return first ~= '-' and #call('XRANGE', stream, first, last, 'COUNT', 1) > 0
  end
  return left(KEYS[1], tasks_first, tasks_last) or left(KEYS[2], control_first, control_last)
end

local time = call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local is_repeat, total = false, ARGV[10]
local mark = call('HGET', KEYS[3], job)
local function set_mark()
  call('HSET', KEYS[3], job, table.concat({ARGV[3], hash, ARGV[9], string.format('%d', now), total}, ' '))
end
if mark then
  local was, was_hash = mark:match('^(%d+) (%S+)')
  -- Absent where no other outbox can have the job, and in a watermark of an earlier version.
  local outbox, seen, rows = mark:match('^%d+ %S+ (%S+) (%d+) (%S+)$')
  if outbox and outbox ~= ARGV[9] then
    return {'TAKEN', outbox, tonumber(was), was_hash, rows, math.max(0, now - tonumber(seen))}
  end
  if total == '-' and rows then total = rows end
  was = tonumber(was)
  if not was then return redis.error_reply('ERR the watermark of ' .. job .. ' is not ours') end
  if seq > was + 1 then return {'GAP', was + 1} end
  if seq == was + 1 and was_hash ~= ARGV[5] then return {'CONFLICT'} end
  if seq == was and was_hash ~= hash then return {'CONFLICT'} end
  is_repeat = seq <= was
elseif seq ~= floor then
  return {'GAP', floor}
end
if record then
  if record:match('^%S+') ~= hash then return {'CONFLICT'} end
  if is_known() then
    -- Somebody has deleted the watermark, or set it back.
    if not is_repeat then set_mark() end
    return {'DUPLICATE'}
  end
end

local tasks, high_water = tonumber(ARGV[11]), tonumber(ARGV[7])
local control = #ARGV - 11 - tasks
if tasks > 0 then
  local unfinished = call('XLEN', KEYS[1])
  if unfinished + tasks > high_water then
    local parked = 0
    for _, owner in ipairs(call('XPENDING', KEYS[1], ARGV[1])[4] or {}) do
      if owner[1] == ARGV[8] then parked = tonumber(owner[2]) end
    end
    if unfinished - math.min(parked, high_water) + tasks > high_water then
      return {'FULL', unfinished}
    end
  end
end
if control > 0 then
  local unfinished = call('XLEN', KEYS[2])
  if unfinished + control > high_water then return {'FULL', unfinished} end
end

local entries = {}
for i = 12, #ARGV do
  local entry = decode(ARGV[i])
  if #entry == 0 or #entry % 2 == 1 then
    return redis.error_reply('ERR a payload is no array of names and values')
  end
  entries[i - 11] = entry
end

local function padded(id)
  local ms, number = id:match('^(%d+)%-(%d+)$')
  return string.format('%012x-%08x', tonumber(ms), tonumber(number))
end
local function member(lane, first, last)
  return table.concat({lane, padded(first), padded(last), name}, ' ')
end
local function add(stream, from, to)
  local first, last = '-', '-'
  for i = from, to do
    last = call('XADD', stream, '*', unpack(entries[i]))
    if i == from then first = last end
  end
  return first, last
end
local tasks_first, tasks_last = add(KEYS[1], 1, tasks)
local control_first, control_last = add(KEYS[2], tasks + 1, tasks + control)
for lane, span in pairs({tasks = {3, tasks_first, tasks_last}, control = {5, control_first, control_last}}) do
  local before = record and {record:match('^(%S+) (%d+) (%S+) (%S+) (%S+) (%S+)$')}
  if before and before[span[1]] ~= '-' then
    call('ZREM', KEYS[6], member(lane, before[span[1]], before[span[1] + 1]))
  end
  if span[2] ~= '-' then call('ZADD', KEYS[6], 0, member(lane, span[2], span[3])) end
end
call('HSET', KEYS[5], name, table.concat({hash, tasks + control, tasks_first, tasks_last,
  control_first, control_last}, ' '))
call('HDEL', KEYS[5], name .. ' acked')
if not is_repeat then set_mark() end
return {'SENT'}

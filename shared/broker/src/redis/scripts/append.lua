-- Appends one frozen batch, all of it or nothing, and at most once (I1, I2).
--
-- KEYS  1 tasks stream  2 control stream  3 watermarks  4 epoch
-- ARGV  1 group  2 job  3 seq  4 hash  5 previous hash ('' before the first)  6 floor
--       7 high water  8 the consumer of parked entries  9 number of tasks  10.. payloads: the tasks
--       first, then the control messages; each a JSON array of names and values in turn
-- returns {'SENT' | 'DUPLICATE', epoch, tasks first, tasks last, control first, control last}
--         ('' where there is none) | {'CONFLICT'} | {'GAP', expected} | {'FULL', unfinished}
-- errors  NOGROUP when the stream is incomplete, WRONGTYPE when a key has a foreign type
--
-- A watermark is "seq hash | spans of that batch | last entry of the job in each lane", with '-' for
-- an absent value. Every step that can fail comes before the first XADD, and a full Redis refuses
-- XADD. So a batch is never written in part. Parked entries do not count against the high water, up
-- to as many again: a paused job must not block the others.
local call, decode = redis.call, cjson.decode
local expects = {'stream', 'stream', 'hash', 'string'}
local missing = false
for i = 1, 4 do
  local kind = call('TYPE', KEYS[i]).ok
  if kind == 'none' then
    if i ~= 3 then missing = true end
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

local epoch = call('GET', KEYS[4])
local job, seq, hash, floor = ARGV[2], tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[6])
local function none(text) if text == '-' then return '' end return text end

local last_tasks, last_control = '-', '-'
local mark = call('HGET', KEYS[3], job)
if mark then
  local was, was_hash, tasks_first, tasks_last, control_first, control_last
  was, was_hash, tasks_first, tasks_last, control_first, control_last, last_tasks, last_control =
    mark:match('^(%d+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+) (%S+)$')
  was = tonumber(was)
  if not was then return redis.error_reply('ERR the watermark of ' .. job .. ' is not ours') end
  if seq < was then
    -- An older batch is somewhere before the last one. The span may be too wide, never too narrow.
    local first_tasks, first_control = '', ''
    if last_tasks ~= '-' then first_tasks = '0-0' end
    if last_control ~= '-' then first_control = '0-0' end
    return {'DUPLICATE', epoch, first_tasks, none(last_tasks), first_control, none(last_control)}
  elseif seq == was then
    if was_hash ~= hash then return {'CONFLICT'} end
    return {'DUPLICATE', epoch, none(tasks_first), none(tasks_last), none(control_first), none(control_last)}
  elseif seq > was + 1 then
    return {'GAP', was + 1}
  elseif was_hash ~= ARGV[5] then
    return {'CONFLICT'}
  end
elseif seq ~= floor then
  return {'GAP', floor}
end

local tasks, high_water = tonumber(ARGV[9]), tonumber(ARGV[7])
local control = #ARGV - 9 - tasks
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
for i = 10, #ARGV do
  local entry = decode(ARGV[i])
  if #entry == 0 or #entry % 2 == 1 then
    return redis.error_reply('ERR a payload is no array of names and values')
  end
  entries[i - 9] = entry
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
if tasks > 0 then last_tasks = tasks_last end
if control > 0 then last_control = control_last end
call('HSET', KEYS[3], job, table.concat({ARGV[3], hash, tasks_first, tasks_last,
  control_first, control_last, last_tasks, last_control}, ' '))
return {'SENT', epoch, none(tasks_first), none(tasks_last), none(control_first), none(control_last)}

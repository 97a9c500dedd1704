#!lua flags=allow-oom
-- Names the store of a stream.
--
-- KEYS  1 the name
-- ARGV  1 the store  2 1 to replace the name of another store
-- returns the name that it had | nil
--
-- A full Redis takes it too: a worker that starts there must be able to drain the stream.
local had = redis.call('GET', KEYS[1])
if not had or ARGV[2] == '1' then redis.call('SET', KEYS[1], ARGV[1]) end
return had

-- One record, one hash. Fields: o owner, n nonce, p phase (p publishing, q queued, r running, k kept), f fence,
-- t deadline (ms by this node's clock), c copy, s seq, a args and m mark ('<seq> <json>'), x stop, l floor, e expires;
-- of the last good run: d its id, u its fence, v its seq, z it ended in the dead letters.
-- MEMORY (ms) is written in front of this text, and behind it the steps, each a function in `steps`.
local call = redis.call
local time = call('TIME')
local micros = time[1] * 1000000 + time[2]
local now = math.floor(micros / 1000)

-- Of the step that is taken: its key, what it is told ('<call> …'), a time (ms), and the fields that are there, once they
-- are read; of a key that nobody uses there are none.
local key, words, ms, r
local steps = {}

local function read()
  local fields = call('HGETALL', key)
  for i = 1, #fields, 2 do
    r[fields[i]] = fields[i + 1]
  end
end

-- Lua prints numbers with 14 digits; fences have 16. A number given to call arrives whole, but Redis
-- takes longer to print it.
local function text(number)
  return string.format('%d', number)
end

local function number(field)
  return tonumber(r[field]) or 0
end

local function sequence(field)
  return r[field] and tonumber(string.match(r[field], '^%d+')) or 0
end

-- Largest sequence of the arguments that the record carries.
local function carried()
  return math.max(number('s'), sequence('a'), sequence('m'))
end

local function held()
  return r.o and now < number('t')
end

-- A mark becomes the key's arguments when it is newer than they are.
local function settle()
  if not r.m then
    return
  end
  if sequence('m') > sequence('a') then
    r.a = r.m
    call('HSET', key, 'a', r.m)
  end
  call('HDEL', key, 'm')
end

-- Moves the deadline, beside other changes: field, value, … The key outlives its holder by MEMORY, so that whoever leaves
-- the deadline of a holder as it is leaves the key's expiry, too.
local function hold(deadline, ...)
  call('HSET', key, 't', text(deadline), ...)
  call('PEXPIRE', key, text(deadline - now + MEMORY))
  return 1
end

-- What stays of a record without a holder: fence, args, done.
local function free(fence, ...)
  call('HSET', key, 'f', fence, ...)
  call('HDEL', key, 'o', 'n', 'p', 't', 'c', 's', 'x', 'l', 'e')
  call('PEXPIRE', key, MEMORY)
  return 1
end

-- Where a holder of another id takes offered arguments: as the key's own, or beside its run.
local function taker()
  return r.p == 'q' and 'a' or r.p == 'r' and 'm'
end

local function take(seq, offer)
  local field = taker()
  r[field] = seq .. ' ' .. offer
  call('HSET', key, field, r[field])
  if r.e then
    call('HDEL', key, 'e')
  end
end

-- A waiting holder may not be dropped before anybody who leans on it.
local function outlive(expires)
  if r.p ~= 'q' or not r.e then
    return
  elseif expires == '0' then
    call('HDEL', key, 'e')
  elseif tonumber(expires) > number('e') then
    call('HSET', key, 'e', expires)
  end
end

-- A step answers 1, or a text: why not.
local function refuse(...)
  return table.concat({ ... }, ' ')
end

local function refuse_held(own, offered)
  local form = 'UQHELD %s %s %.0f %.0f %s %s %s'
  return form:format(r.p, r.f or '0', number('t') - now, carried(), own, offered, r.o)
end

-- Why this fence cannot be accepted now, as a refusal; nil when it can. seq: of the message that shall run.
local function unacceptable(fence, seq)
  local half = MEMORY * 500
  if fence > micros + half then
    return refuse('UQCLOCK', text((fence - micros) / 1000))
  end
  local slow = fence < micros - half
  local least = math.max(number('f'), number('l'), carried(), seq or 0)
  if slow or fence <= least then
    return refuse('UQFENCE', text(math.max(least, slow and micros or 0)))
  end
end

-- One record, one hash. Fields: o owner, n nonce, p phase (p publishing, q queued, r running, k kept), f fence,
-- t deadline (ms by this node's clock), c copy, s seq, a args and m mark ('<seq> <json>'), x stop, l floor, e expires;
-- of the last good run: d its id, u its fence, v its seq, z it ended in the dead letters.
-- MEMORY (ms) is written in front of this text.
local key = KEYS[1]
local time = redis.call('TIME')
local micros = time[1] * 1000000 + time[2]
local now = math.floor(micros / 1000)

local r = {}
local names = { 'o', 'n', 'p', 'f', 't', 'c', 's', 'a', 'm', 'x', 'l', 'e', 'd', 'u', 'v', 'z' }
for i, value in ipairs(redis.call('HMGET', key, unpack(names))) do
  r[names[i]] = value
end

-- Lua prints numbers with 14 digits; fences have 16.
local function text(number)
  return string.format('%.0f', number)
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

local function highest()
  return math.max(number('f'), number('l'), carried())
end

local function held()
  return r.o and now < number('t')
end

-- A mark becomes the key's arguments when it is newer than they are.
local function newest()
  return sequence('m') > sequence('a') and r.m or r.a
end

-- changes: field -> value, or false to remove it. The key outlives its holder by MEMORY.
local function write(changes)
  local set, gone = {}, {}
  for field, value in pairs(changes) do
    if value and value ~= r[field] then
      set[#set + 1] = field
      set[#set + 1] = value
    elseif not value and r[field] then
      gone[#gone + 1] = field
    end
    r[field] = value
  end
  if #set > 0 then
    redis.call('HSET', key, unpack(set))
  end
  if #gone > 0 then
    redis.call('HDEL', key, unpack(gone))
  end
  redis.call('PEXPIRE', key, (held() and number('t') - now or 0) + MEMORY)
  return 1
end

-- Where a holder of another id takes offered arguments: as the key's own, or beside its run.
local taker = ({ q = 'a', r = 'm' })[r.p]

-- A waiting holder may not be dropped before anybody who leans on it.
local function outlive(expires)
  if r.p == 'q' and r.e and (expires == '0' or tonumber(expires) > number('e')) then
    write({ e = expires ~= '0' and expires })
  end
end

-- What stays of a record without a holder: fence, args, done.
local function free(fence, args)
  return { o = false, n = false, p = false, t = false, c = false, s = false, m = false, x = false, l = false, e = false,
    f = text(fence), a = args }
end

-- At least two words: Redis 7 puts ERR in front of a single one.
local function refuse(...)
  return redis.error_reply(table.concat({ ... }, ' '))
end

local function refuse_held(own, offered)
  return refuse('UQHELD', r.p, r.f or '0', text(number('t') - now), text(carried()), own, offered, r.o)
end

-- Why this fence cannot be accepted now, as a refusal; nil when it can. seq: of the message that shall run.
local function unacceptable(fence, seq)
  local half = MEMORY * 500
  if fence > micros + half then
    return refuse('UQCLOCK', text((fence - micros) / 1000))
  end
  local slow = fence < micros - half
  local least = math.max(highest(), seq or 0)
  if slow or fence <= least then
    return refuse('UQFENCE', text(math.max(least, slow and micros or 0)))
  end
end

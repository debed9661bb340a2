-- words: '<call> <owner> <nonce> <fence> <copy> <seq> <expires> <strategy> <rerun> <offer>'; ms: the lease
read()
local owner, nonce, fence, copy, seq, expires, strategy, rerun, offer =
  string.match(words, '^%S+ (%S+) (%S+) (%d+) (%S+) (%d+) (%d+) (%S+) (%d) ?(.*)$')
seq = tonumber(seq)
-- No claim was ever accepted with a sequence from the future: it was made up.
if seq > micros + MEMORY * 500 then
  seq = 0
end

-- Does the last good run cover this message?
local function done()
  -- Of its own run a re-run takes no notice, for some nodes may have released it; what another did since covers it, too.
  if not r.d or (rerun == '1' and r.d == owner) then
    return false
  elseif seq > 0 and strategy == 'discard' then
    return seq < number('u')
  elseif seq > 0 and strategy == 'coalesce' then
    return seq <= number('v')
  end
  return r.d == owner
end

local function refuse_done(id)
  return refuse('UQDONE', id == owner and '1' or '0', r.d == id and r.z or '0', id)
end

if done() then
  return refuse_done(r.d)
end
local taken = held()
if taken and r.o ~= owner then
  -- Only the message's own sequence may mark: a fresh one would make older arguments the newest.
  if not taker() or offer == '' or seq <= carried() then
    outlive(expires)
    return refuse_held('n', '0')
  end
  take(text(seq), offer)
  return refuse_held('n', '1')
end
if taken and r.p == 'k' then
  return refuse_done(owner)
end
if taken and r.p == 'r' and r.n ~= nonce then
  -- Another attempt of this very task has the key. The same copy again: its earlier attempt may not go on for ever.
  if r.c ~= copy then
    return refuse_held('o', '0')
  end
  call('HSET', key, 'x', '1')
  return refuse_held('s', '0')
end
local no = unacceptable(tonumber(fence), seq)
if no then
  return no
end
settle()
if r.x or r.e then
  call('HDEL', key, 'x', 'e')
end
if rerun == '1' and r.d == owner then
  call('HDEL', key, 'd', 'u', 'v', 'z')
end
local run = math.max(seq, sequence('a'))
if r.o ~= owner or number('s') ~= run then
  call('HSET', key, 'o', owner, 's', text(run))
end
return hold(now + ms, 'n', nonce, 'p', 'r', 'f', fence, 'c', copy)

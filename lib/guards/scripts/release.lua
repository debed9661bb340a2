-- words: '<call> <owner> <fence> <seq> <dead> <keep>'; keep: ms for which a good run's key stays taken
read()
local owner, fence, seq, dead, keep = string.match(words, '^%S+ (%S+) (%d+) (%d+) (%d) (%d+)$')
if r.o ~= owner or r.f ~= fence or r.p ~= 'r' then
  local repeated = r.d == owner and r.u == fence
  return repeated and 1 or refuse('UQLOST', 'not held so')
end
if r.m then
  return refuse('UQMARKED', 'newer arguments wait')
end
seq = tonumber(seq)
if r.a and dead == '0' and sequence('a') <= seq then
  call('HDEL', key, 'a')
end
if dead == '1' then
  call('HSET', key, 'z', '1')
elseif r.z then
  call('HDEL', key, 'z')
end
-- What an earlier run has covered stays covered, though a message without a sequence ran since.
local covered = math.max(number('v'), seq)
if dead == '0' and keep ~= '0' then
  call('HDEL', key, 'n', 'c', 's', 'x', 'e')
  -- A floor may differ between nodes, and a holder's fence may not: it is evidence.
  return hold(now + keep, 'p', 'k', 'd', owner, 'u', fence, 'v', covered)
end
return free(math.max(number('f'), number('l')), 'd', owner, 'u', fence, 'v', covered)

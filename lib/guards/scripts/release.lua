-- ARGV: '<call> <owner> <fence> <seq> <dead> <keep>'; keep: ms for which a good run's key stays taken
local owner, fence, seq, dead, keep = string.match(ARGV[1], '^%S+ (%S+) (%d+) (%d+) (%d) (%d+)$')
local mine = r.o == owner and number('f') == tonumber(fence) and r.p == 'r'
if not mine then
  local repeated = r.d == owner and number('u') == tonumber(fence)
  return repeated and 1 or refuse('UQLOST', 'not held so')
end
if r.m then
  return refuse('UQMARKED', 'newer arguments wait')
end
local covered = dead == '0' and sequence('a') <= tonumber(seq)
local changes = free(math.max(number('f'), number('l')), not covered and r.a)
-- What an earlier run has covered stays covered, though a message without a sequence ran since.
changes.d, changes.u, changes.v, changes.z = owner, fence, text(math.max(number('v'), tonumber(seq))), dead == '1' and '1'
if dead == '0' and keep ~= '0' then
  -- A floor may differ between nodes, and a holder's fence may not: it is evidence.
  changes.o, changes.p, changes.t, changes.f, changes.l = owner, 'k', text(now + keep), r.f, r.l
end
return write(changes)

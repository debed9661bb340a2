-- What a holder does to go on holding. ARGV: '<call> <arrow> <owner> <fence>', time (ms)
local arrow, owner, fence = string.match(ARGV[1], '^%S+ (%S+) (%S+) (%d+)$')
local mine = r.o == owner and number('f') == tonumber(fence)
local deadline = now + ARGV[2]
local arrows = {}

function arrows.extend()
  return mine and r.p == 'p' and write({ t = text(deadline) })
end

-- By owner alone: the window may have been claimed again for the same id.
function arrows.confirm()
  if r.o ~= owner then
    return r.d == owner and 1
  elseif r.p == 'p' then
    return write({ p = 'q', t = text(deadline) })
  elseif r.p == 'q' then
    return write({ t = text(math.max(number('t'), deadline)) })
  end
  return 1
end

function arrows.renew()
  return mine and r.p == 'r' and not r.x and write({ t = text(deadline) })
end

function arrows.hold()
  if mine and r.p == 'r' then
    return write({ p = 'q', t = text(deadline), n = false, c = false, x = false, m = false, a = newest() })
  end
  return mine and r.p == 'q' and 1
end

-- Whoever leans on a waiting record, or leaves arguments there, has moved or taken away its time. The fence says nothing.
function arrows.expire()
  local waits = r.o == owner and (r.p == 'p' or r.p == 'q')
  if waits and r.e and number('e') <= now then
    return write(free(math.max(number('f'), number('l')), newest()))
  end
  return (r.o or r.a or r.d == owner) and refuse('UQMARKED', 'it must run')
end

return arrows[arrow]() or refuse('UQLOST', 'not held so')

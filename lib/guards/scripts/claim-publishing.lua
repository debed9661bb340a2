-- ARGV: '<call> <owner> <fence> <expires> <offer>', window (ms)
local owner, fence, expires, offer = string.match(ARGV[1], '^%S+ (%S+) (%d+) (%d+) ?(.*)$')
local proposed = tonumber(fence)

-- A caller who chooses ids may offer to a holder of the same one.
local own = r.o == owner and 'o' or 'n'

local function hand_over()
  if not taker or offer == '' then
    outlive(expires)
    return refuse_held(own, '0')
  end
  local no = unacceptable(proposed)
  if no then
    return no
  end
  write({ [taker] = fence .. ' ' .. offer, e = false })
  return refuse_held(own, '1')
end

if held() and (r.o ~= owner or r.p ~= 'p') then
  return hand_over()
end
local no = unacceptable(proposed)
if no then
  return no
end
local args = newest()
-- A holder that carries somebody else's arguments may not be dropped for its own age.
local drop = expires ~= '0' and not args and expires
local deadline = text(now + ARGV[2])
return write({ o = owner, f = fence, p = 'p', t = deadline, s = fence, e = drop, n = false, x = false, c = false,
  m = false, a = args })

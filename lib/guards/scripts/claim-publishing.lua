-- ARGV: '<call> <owner> <fence> <expires> <offer>', window (ms)
local owner, fence, expires, offer = string.match(ARGV[1], '^%S+ (%S+) (%d+) (%d+) ?(.*)$')
local proposed = tonumber(fence)

local function hand_over()
  if not taker or offer == '' then
    outlive(expires)
    return refuse_held('n', '0')
  end
  local no = unacceptable(proposed)
  if no then
    return no
  end
  write({ [taker] = fence .. ' ' .. offer, e = false })
  return refuse_held('n', '1')
end

if held() and r.o ~= owner then
  return hand_over()
end
if held() and r.p ~= 'p' then
  return refuse_held('o', '0')
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

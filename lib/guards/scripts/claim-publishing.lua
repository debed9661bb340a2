-- words: '<call> <owner> <fence> <expires> <offer>'; ms: the window
read()
local owner, fence, expires, offer = string.match(words, '^%S+ (%S+) (%d+) (%d+) ?(.*)$')
local proposed = tonumber(fence)

if held() and (r.o ~= owner or r.p ~= 'p') then
  -- A caller who chooses ids may offer to a holder of the same one.
  local own = r.o == owner and 'o' or 'n'
  if not taker() or offer == '' then
    outlive(expires)
    return refuse_held(own, '0')
  end
  local no = unacceptable(proposed)
  if no then
    return no
  end
  take(fence, offer)
  return refuse_held(own, '1')
end
local no = unacceptable(proposed)
if no then
  return no
end
settle()
-- What is left of a holder whose time is over, or of this one's last window.
if r.o then
  call('HDEL', key, 'n', 'c', 'x', 'e')
end
-- A holder that carries somebody else's arguments may not be dropped for its own age.
if expires ~= '0' and not r.a then
  call('HSET', key, 'e', expires)
end
return hold(now + ms, 'o', owner, 'p', 'p', 'f', fence, 's', fence)

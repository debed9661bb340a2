-- What a holder does to go on holding. words: '<call> <arrow> <owner> <fence>'; ms: the time
local arrow, owner, fence = string.match(words, '^%S+ (%S+) (%S+) (%d+)$')
-- Confirms and renewals are many, and need no more than this.
local o, p, f, t, x, d = unpack(call('HMGET', key, 'o', 'p', 'f', 't', 'x', 'd'))
local mine = o == owner and f == fence
local deadline = now + ms
local answer

if arrow == 'extend' then
  answer = mine and p == 'p' and hold(deadline)

elseif arrow == 'confirm' then
  -- By owner alone: the window may have been claimed again for the same id.
  if o ~= owner then
    answer = d == owner and 1
  elseif p == 'p' then
    answer = hold(deadline, 'p', 'q')
  elseif p == 'q' then
    answer = hold(math.max(t, deadline))
  else
    answer = 1
  end

elseif arrow == 'renew' then
  answer = mine and p == 'r' and not x and hold(deadline)

elseif arrow == 'hold' then
  if mine and p == 'r' then
    read()
    settle()
    call('HDEL', key, 'n', 'c', 'x')
    answer = hold(deadline, 'p', 'q')
  else
    answer = mine and p == 'q' and 1
  end

elseif arrow == 'expire' then
  read()
  -- Whoever leans on a waiting record, or leaves arguments there, has moved or taken away its time. The fence says nothing.
  local waits = o == owner and (p == 'p' or p == 'q')
  if waits and r.e and number('e') <= now then
    settle()
    answer = free(math.max(number('f'), number('l')))
  else
    answer = (o or r.a or d == owner) and refuse('UQMARKED', 'it must run')
  end
end

return answer or refuse('UQLOST', 'not held so')

-- words: '<call> <owner> <fence> <nonce, % without one>'
read()
local owner, fence, nonce = string.match(words, '^%S+ (%S+) (%d+) (%S+)$')
local another = nonce ~= '%' and r.n and r.n ~= nonce
local mine = r.o == owner and r.f == fence and not another
-- A late claim too far ahead is refused by its clock; a floor there would refuse everybody else too.
local floor = math.max(number('l'), math.min(tonumber(fence), micros + MEMORY * 500 - 1))
if r.o and not mine then
  call('HSET', key, 'l', floor)
  call('PEXPIRE', key, math.max(number('t') - now, 0) + MEMORY)
  return 1
end
settle()
return free(math.max(number('f'), floor))

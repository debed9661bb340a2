-- ARGV: '<call> <owner> <fence> <nonce, % without one>'
local owner, fence, nonce = string.match(ARGV[1], '^%S+ (%S+) (%d+) (%S+)$')
local another = nonce ~= '%' and r.n and r.n ~= nonce
local mine = r.o == owner and number('f') == tonumber(fence) and not another
-- A late claim too far ahead is refused by its clock; a floor there would refuse everybody else too.
local floor = math.max(number('l'), math.min(tonumber(fence), micros + MEMORY * 500 - 1))
if r.o and not mine then
  return write({ l = text(floor) })
end
return write(free(math.max(number('f'), floor), newest()))

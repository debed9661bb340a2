-- ARGV: '<call> <owner> <fence>'
local owner, fence = string.match(ARGV[1], '^%S+ (%S+) (%d+)$')
local mine = r.o == owner and number('f') == tonumber(fence)
-- A late claim too far ahead is refused by its clock; a floor there would refuse everybody else too.
local floor = math.max(number('l'), math.min(tonumber(fence), micros + MEMORY * 500 - 1))
if r.o and not mine then
  return write({ l = text(floor) })
end
return write(free(math.max(number('f'), floor), newest()))

-- What a flood of duplicates asks before it claims: who waits here, and may wait for ever. Writes nothing, and stands
-- alone: of a record it reads what is evidence (its letters: prelude.lua), and answers '<owner> <fence> <ms left>'.
local time = redis.call('TIME')
local r = redis.call('HMGET', KEYS[1], 'o', 'p', 'f', 't', 'e')
local left = (tonumber(r[4]) or 0) - (time[1] * 1000 + math.floor(time[2] / 1000))
-- Who leans on a holder that may expire has to tell it so, by a claim.
if r[2] ~= 'q' or r[5] or left <= 0 then
  return false
end
return r[1] .. ' ' .. r[3] .. ' ' .. string.format('%.0f', left)

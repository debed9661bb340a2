-- What a flood of duplicates asks before it claims: who waits here, and may wait for ever. Writes nothing.
read()
-- Who leans on a holder that may expire has to tell it so, by a claim.
if r.p == 'q' and not r.e and held() then
  return refuse_held('n', '0')
end
return 1

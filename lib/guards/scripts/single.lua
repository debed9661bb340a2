-- One step for one key, as redlock counts votes: what is refused is an error. Of at least two words, for Redis 7 puts ERR
-- in front of a single one.
local _, step = next(steps)
key, words, ms, r = KEYS[1], ARGV[1], ARGV[2], {}
local answer = step()
return answer == 1 and 1 or redis.error_reply(answer)

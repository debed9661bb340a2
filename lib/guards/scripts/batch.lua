-- Steps for many keys, each as if it came alone: what goes wrong with one is its own answer. ARGV[1] has a line for each
-- key: '<ms> <step> …'.
local answers = {}
local line = string.gmatch(ARGV[1], '[^\n]+')
local function take()
  local step
  ms, words, step = string.match(line(), '^(%d+) ((%S+).*)$')
  return steps[step]()
end
for i = 1, #KEYS do
  key, r = KEYS[i], {}
  local ended, answer = pcall(take)
  -- Redis before 7 throws texts.
  answers[i] = ended and answer or answer.err or answer
end
return answers

-- Steps for many keys, each as if it came alone: what goes wrong with one is its own answer. For each key ARGV has its
-- words, whose first one names the step, and its time.
local answers = {}
for i = 1, #KEYS do
  key, words, ms, r = KEYS[i], ARGV[2 * i - 1], ARGV[2 * i], {}
  local ended, answer = pcall(steps[string.match(words, '^%S+')])
  -- Redis before 7 throws texts.
  answers[i] = ended and answer or answer.err or answer
end
return answers

// Clauses of the scripts: what a holder does, abandon, expire.
import { clause } from './clause.js';

export const HOLDER_CLAUSES = [
  clause(
    'confirm',
    'turns publishing into queued',
    [
      'holder',
      [
        "if (record.phase === 'publishing')\n        return ok({ ...record, phase: 'queued', deadline: now + ttl });",
        '',
      ],
    ],
    ['keep', ["answer = hold(deadline, 'p', 'q')\n  elseif", 'answer = 1\n  elseif']],
  ),
  clause(
    'confirm',
    'goes by the owner',
    [
      'holder',
      [
        'export function confirm(record, { owner }, ttl, { now }) {\n    if (record.owner !== owner)',
        'export function confirm(record, { owner, fence }, ttl, { now }) {\n    if (!mine(record, { owner, fence }))',
      ],
    ],
    ['keep', ['if o ~= owner then', 'if not mine then']],
  ),
  clause(
    'confirm',
    'leaves a run that has begun',
    ['holder', ["if (record.phase !== 'queued')\n        return ok(record);\n    return", 'return']],
    ['keep', ["elseif p == 'q' then", 'elseif true then']],
  ),
  clause(
    'confirm',
    'the window is extended for its identity alone',
    ['holder', ["if (!mine(record, identity) || record.phase !== 'publishing')", "if (record.phase !== 'publishing')"]],
    ['keep', ["mine and p == 'p' and", "p == 'p' and"]],
  ),
  clause(
    'renew',
    'compares the identity',
    [
      'holder',
      [
        "if (!mine(record, identity) || record.phase !== 'running' || record.stop)",
        "if (record.phase !== 'running' || record.stop)",
      ],
    ],
    ['keep', ["answer = mine and p == 'r' and", "answer = p == 'r' and"]],
  ),
  clause(
    'renew',
    'does not retake a lost record',
    [
      'holder',
      [
        "if (!mine(record, identity) || record.phase !== 'running' || record.stop)",
        "if (record.owner === undefined)\n        return ok({ ...record, ...identity, phase: 'running', deadline: now + lease });\n    if (!mine(record, identity) || record.phase !== 'running' || record.stop)",
      ],
    ],
    [
      'keep',
      [
        "answer = mine and p == 'r' and",
        "answer = not o and hold(deadline, 'o', owner, 'f', fence, 'p', 'r') or mine and p == 'r' and",
      ],
    ],
  ),
  clause(
    'hold',
    'lets go of the run',
    [
      'holder',
      ["phase: 'queued',\n        deadline: now + ttl,\n        nonce", 'deadline: now + ttl,\n        nonce'],
    ],
    ['keep', ["answer = hold(deadline, 'p', 'q')\n  else\n", 'answer = hold(deadline)\n  else\n']],
  ),
  clause(
    'hold',
    'a mark moves into the arguments',
    ['holder', ['args: newest(record),\n        mark: undefined', 'args: record.args,\n        mark: undefined']],
    ['keep', ["settle()\n    call('HDEL', key, 'n'", "call('HDEL', key, 'm', 'n'"]],
  ),
  clause(
    'hold',
    'compares the identity',
    [
      'holder',
      [
        'export function hold(record, identity, ttl, { now }) {\n    if (!mine(record, identity))',
        'export function hold(record, identity, ttl, { now }) {\n    if (false)',
      ],
    ],
    ['keep', ["if mine and p == 'r' then", "if p == 'r' then"]],
  ),
  clause(
    'hold',
    'may be repeated',
    [
      'holder',
      ["return record.phase === 'queued' ? ok(record) : lost(record);\n    const", 'return lost(record);\n    const'],
    ],
    ['keep', ["answer = mine and p == 'q' and 1", 'answer = false']],
  ),
  clause(
    'release',
    'compares the identity',
    [
      'holder',
      ["if (!mine(record, { owner, fence }) || record.phase !== 'running')", "if (record.phase !== 'running')"],
    ],
    ['release', ["if r.o ~= owner or r.f ~= fence or r.p ~= 'r' then", "if r.p ~= 'r' then"]],
  ),
  clause(
    'release',
    'is refused when marked',
    ['holder', ['if (record.mark !== undefined)', 'if (false)']],
    ['release', ['if r.m then', 'if false then']],
  ),
  clause(
    'release',
    'may be repeated',
    [
      'holder',
      [
        'return record.done?.id === owner && record.done.fence === fence ? ok(record) : lost(record);',
        'return lost(record);',
      ],
    ],
    ['release', ['local repeated = r.d == owner and r.u == fence', 'local repeated = false']],
  ),
  clause(
    'release',
    'leaves newer arguments',
    ['holder', ['!dead && (record.args?.seq ?? 0) <= seq', '!dead']],
    ['release', ["r.a and dead == '0' and sequence('a') <= seq", "r.a and dead == '0'"]],
  ),
  clause(
    'release',
    'of a dead letter leaves arguments',
    ['holder', ['!dead && (record.args?.seq ?? 0) <= seq', '(record.args?.seq ?? 0) <= seq']],
    ['release', ["r.a and dead == '0' and sequence('a') <= seq", "r.a and sequence('a') <= seq"]],
  ),
  clause(
    'release',
    'keeps the fence, and a raised floor',
    ['holder', ['freed(record, Math.max(fence, record.floor), covered', 'freed(record, fence, covered']],
    ['release', ["free(math.max(number('f'), number('l')),", "free(number('f'),"]],
  ),
  clause(
    'keepFor',
    'a good run keeps the key',
    ['holder', ['if (dead || keep === 0)', 'if (true)']],
    ['release', ["if dead == '0' and keep ~= '0' then", 'if false then']],
  ),
  clause(
    'keepFor',
    'a kept key has the fence of its run',
    ['holder', [', fence, floor: record.floor', '']],
    ['release', ["hold(now + keep, 'p', 'k',", "hold(now + keep, 'p', 'k', 'f', math.max(number('f'), number('l')),"]],
  ),
  clause(
    'abandon',
    'frees exactly this identity',
    [
      'holder',
      [
        'if (record.owner !== undefined && (another || !mine(record, identity)))',
        'if (record.owner !== undefined && record.owner !== identity.owner)',
      ],
    ],
    ['abandon', ['if r.o and not mine then', 'if r.o and r.o ~= owner then']],
  ),
  clause(
    'abandon',
    'of another attempt with the same fence',
    [
      'holder',
      ['identity.nonce !== undefined && record.nonce !== undefined && record.nonce !== identity.nonce', 'false'],
    ],
    ['abandon', ["nonce ~= '%' and r.n and r.n ~= nonce", 'false']],
  ),
  clause(
    'abandon, floor',
    'raises the floor under another holder [rare]',
    ['holder', ['return { record: { ...record, floor }, answer', 'return { record, answer']],
    ['abandon', ["call('HSET', key, 'l', floor)\n", '\n']],
  ),
  clause(
    'abandon, floor',
    'raises it even where nobody had the key [rare]',
    [
      'holder',
      [
        'return { record: freed(record, Math.max(record.fence, floor), newest(record))',
        'return { record: record.owner === undefined ? record : freed(record, Math.max(record.fence, floor), newest(record))',
      ],
    ],
    ['abandon', ['return free(', 'return not r.o and 1 or free(']],
  ),
  clause(
    'abandon',
    'a mark moves into the arguments',
    [
      'holder',
      [
        'freed(record, Math.max(record.fence, floor), newest(record))',
        'freed(record, Math.max(record.fence, floor), record.args)',
      ],
    ],
    ['abandon', ['settle()\n', "call('HDEL', key, 'm')\n"]],
  ),
  clause(
    'abandon',
    'of a fence far ahead locks nobody out',
    ['holder', ['Math.min(identity.fence, now * 1000 + memory * 500 - 1)', 'identity.fence']],
    ['abandon', ['math.min(tonumber(fence), micros + MEMORY * 500 - 1)', 'tonumber(fence)']],
  ),
  clause(
    'expire',
    'only a record of its own is dropped',
    ['holder', ['record.owner === owner && (phase', '(phase']],
    ['keep', ["o == owner and (p == 'p' or", "(p == 'p' or"]],
  ),
  clause(
    'expire',
    'only by the time in the record',
    ['holder', ['if (waits && expires > 0 && expires <= now)', 'if (waits)']],
    ['keep', ["if waits and r.e and number('e') <= now then", 'if waits then']],
  ),
  clause(
    'expire',
    'a record that needs the message keeps it',
    ['holder', ["return needed ? { record, answer: 'marked' } : lost(record)", 'return lost(record)']],
    ['keep', ["(o or r.a or d == owner) and refuse('UQMARKED', 'it must run')", 'false']],
  ),
  clause(
    'run again',
    'reads a mark beside another run, not beside its own',
    ['record', ['mine(record, identity) ? record.args : newest(record)', 'newest(record)']],
    ['claim-running', ['settle()\n', "if sequence('m') > sequence('a') then\n  call('HSET', key, 'a', r.m)\nend\n"]],
  ),
].flat();

// Clauses of the scripts: claims, marks, done, fences.
import { clause, simulated } from './clause.js';

const CLAIMS = [
  clause(
    'claim(publishing)',
    'a key held by another is refused',
    [
      'claims',
      ["if (held(record, at.now) && (record.owner !== owner || record.phase !== 'publishing'))", 'if (false)'],
    ],
    ['claim-publishing', ["if held() and (r.o ~= owner or r.p ~= 'p') then", 'if false then']],
  ),
  clause(
    'claim(publishing)',
    'its own queued holder refuses it, too',
    ['claims', ["(record.owner !== owner || record.phase !== 'publishing')", '(record.owner !== owner)']],
    ['claim-publishing', ["(r.o ~= owner or r.p ~= 'p')", '(r.o ~= owner)']],
  ),
  clause(
    'claim(publishing)',
    'a key whose time is over is free',
    ['record', ['record.owner !== undefined && now < record.deadline', 'record.owner !== undefined']],
    ['prelude', ["return r.o and now < number('t')", 'return r.o']],
  ),
  clause(
    'claim(publishing)',
    'arguments stay with the key',
    [
      'claims',
      [
        '...freed(record, fence, args),\n        owner,\n        phase:',
        '...freed(record, fence, undefined),\n        owner,\n        phase:',
      ],
    ],
    ['claim-publishing', ['settle()\n', "settle()\ncall('HDEL', key, 'a')\n"]],
  ),
  clause(
    'claim(publishing)',
    'a mark moves into the arguments',
    ['claims', ['const args = newest(record);\n    const taken', 'const args = record.args;\n    const taken']],
    ['claim-publishing', ['settle()\n', "call('HDEL', key, 'm')\n"]],
  ),
  clause(
    'claim(publishing)',
    'a holder with arguments of others does not expire',
    ['claims', ['expires: args === undefined ? expires : 0', 'expires']],
    ['claim-publishing', ["expires ~= '0' and not r.a then", "expires ~= '0' then"]],
  ),
  clause(
    'mark',
    'a holder that publishes or is kept takes no offer',
    [
      'claims',
      [
        'claim.offer === undefined || !takesOffers(record))\n        return refusal(outlive(record, claim.expires)',
        'claim.offer === undefined)\n        return refusal(outlive(record, claim.expires)',
      ],
    ],
    [
      'claim-publishing',
      [
        "if not taker() or offer == '' then",
        "local own_taker = taker\n  function taker() return own_taker() or 'm' end\n  if offer == '' then",
      ],
    ],
  ),
  clause(
    'mark',
    'an offer has the largest sequence',
    ['claims', ['const no = unacceptable(record, claim.fence, at);', 'const no = undefined;']],
    ['claim-publishing', ['local no = unacceptable(proposed)\n  if', 'local no = nil\n  if']],
  ),
  clause(
    'expire',
    'pending arguments take the expiry away',
    ['record', ['    expires: 0,\n});', '});']],
    ['prelude', ['if r.e then', 'if false then']],
  ),
  clause(
    'expire',
    'whoever is dropped moves the expiry of a waiting holder',
    ['record', ["if (record.phase !== 'queued' || record.expires === 0)", 'if (true)']],
    ['prelude', ["if r.p ~= 'q' or not r.e then", 'if true then']],
  ),
  clause(
    'claim(running)',
    'a key held by another is refused',
    ['claims', ['if (held(record, at.now) && record.owner !== owner)', 'if (false)']],
    ['claim-running', ['if taken and r.o ~= owner then', 'if false then']],
  ),
  clause(
    '4, claim(running)',
    'another attempt of the same task is waited for',
    ['claims', ["record.phase === 'running' && record.nonce !== nonce", 'false']],
    ['claim-running', ["if taken and r.p == 'r' and r.n ~= nonce then", 'if false then']],
  ),
  clause(
    '4, stop',
    'the same copy stops the earlier attempt',
    ['claims', ['refusal({ ...record, stop: true }, at', 'refusal(record, at']],
    ['claim-running', ["call('HSET', key, 'x', '1')", '']],
  ),
  clause(
    '4, stop',
    'another copy stops nobody',
    ['claims', ["if (record.copy !== copy)\n        return refusal(record, at, 'other-copy');", '']],
    ['claim-running', ['if r.c ~= copy then', 'if false then']],
  ),
  clause(
    '4, stop',
    'a stopped run renews no more',
    ['holder', [" || record.phase !== 'running' || record.stop)", " || record.phase !== 'running')"]],
    ['keep', ["p == 'r' and not x and", "p == 'r' and"]],
  ),
  clause(
    'claim(running)',
    'its fence is above the sequence of its message',
    ['claims', ['unacceptable(record, fence, at, seq)', 'unacceptable(record, fence, at)']],
    ['claim-running', ['unacceptable(tonumber(fence), seq)', 'unacceptable(tonumber(fence))']],
  ),
  clause(
    'claim(running)',
    'a grant moves the mark into the arguments',
    ['claims', ['const args = newest(record);\n    const running', 'const args = record.args;\n    const running']],
    ['claim-running', ['settle()\n', "call('HDEL', key, 'm')\n"]],
  ),
  clause(
    'claim(running)',
    'arguments survive a take-over',
    [
      'claims',
      [
        '...freed(record, fence, args),\n        owner,\n        nonce',
        '...freed(record, fence, undefined),\n        owner,\n        nonce',
      ],
    ],
    ['claim-running', ['settle()\n', "settle()\ncall('HDEL', key, 'a')\n"]],
  ),
  clause(
    'claim(running)',
    'a sequence from the future counts for nothing',
    ['claims', ['const madeUp = (asked.seq ?? 0) > at.now * 1000 + at.memory * 500;', 'const madeUp = false;']],
    ['claim-running', ['if seq > micros + MEMORY * 500 then', 'if false then']],
  ),
  clause(
    '3, mark',
    'a refused message marks with its own sequence',
    [
      'claims',
      ['offer(record, { seq, args: claim.offer.args })', 'offer(record, { seq: claim.fence, args: claim.offer.args })'],
    ],
    ['claim-running', ['take(text(seq), offer)', 'take(fence, offer)']],
  ),
  clause(
    '3, mark',
    'a refused message marks only above the holder’s sequence',
    ['claims', [' || seq <= carried(record))', ' || seq === 0)']],
    ['claim-running', ['or seq <= carried() then', 'or seq == 0 then']],
  ),
];

const DONE = [
  simulated(
    clause(
      'done',
      'by discard',
      [
        'claims',
        ["strategy === 'discard')\n        return seq < done.fence", "strategy === 'discard')\n        return false"],
      ],
      ['claim-running', ["return seq < number('u')", 'return false']],
    ),
  ),
  simulated(
    clause(
      'done',
      'by coalesce',
      ['claims', ['return seq <= done.seq;', 'return false;']],
      ['claim-running', ["return seq <= number('v')", 'return false']],
    ),
  ),
  simulated(
    clause(
      'done',
      'by id',
      ['claims', ['return done.id === owner;', 'return false;']],
      ['claim-running', ['return r.d == owner\n', 'return false\n']],
    ),
  ),
  clause(
    'done',
    'is looked at before the holder',
    ['claims', ['if (covered(record, claim))', 'if (!held(record, at.now) && covered(record, claim))']],
    ['claim-running', ['if done() then', 'if not held() and done() then']],
  ),
  clause(
    'done, run again',
    'a re-run does not look at it [rare]',
    ['claims', ['if (done === undefined || (rerun && done.id === owner))', 'if (done === undefined)']],
    ['claim-running', ["if not r.d or (rerun == '1' and r.d == owner) then", 'if not r.d then']],
  ),
  clause(
    'done, run again',
    'a re-run clears it [rare]',
    ['claims', ['done: rerun && record.done?.id === owner ? undefined : record.done', 'done: record.done']],
    ['claim-running', ["if rerun == '1' and r.d == owner then\n  call", 'if false then\n  call']],
  ),
  clause(
    'done, run again',
    'a re-run is covered by what another did since',
    ['claims', ['(rerun && done.id === owner)', 'rerun']],
    ['claim-running', ["or (rerun == '1' and r.d == owner) then", "or rerun == '1' then"]],
  ),
  clause(
    'done, run again',
    'a re-run leaves what another did',
    ['claims', ['done: rerun && record.done?.id === owner ? undefined', 'done: rerun ? undefined']],
    ['claim-running', ["if rerun == '1' and r.d == owner then\n  call", "if rerun == '1' then\n  call"]],
  ),
  simulated(
    clause(
      'done, release',
      'is written',
      [
        'holder',
        ['{ ...free, done: { fence, seq: Math.max(record.done?.seq ?? 0, seq), id: owner, dead } }', '{ ...free }'],
      ],
      [
        'release',
        ["hold(now + keep, 'p', 'k', 'd', owner, 'u', fence, 'v', covered)", "hold(now + keep, 'p', 'k')"],
        ["number('l')), 'd', owner, 'u', fence, 'v', covered)", "number('l')))"],
      ],
    ),
  ),
  simulated(
    clause(
      'done, release',
      'keeps the largest sequence',
      ['holder', ['Math.max(record.done?.seq ?? 0, seq)', 'seq']],
      ['release', ["math.max(number('v'), seq)", 'seq']],
    ),
  ),
];

const FENCE = [
  clause(
    'fence',
    'larger than the last',
    ['record', ['Math.max(record.fence, record.floor, carried(record))', 'Math.max(record.floor, carried(record))']],
    [
      'prelude',
      ["math.max(number('f'), number('l'), carried(), seq or 0)", "math.max(number('l'), carried(), seq or 0)"],
    ],
  ),
  clause(
    'fence, floor',
    'larger than the floor: a late claim [rare]',
    ['record', ['Math.max(record.fence, record.floor, carried(record))', 'Math.max(record.fence, carried(record))']],
    [
      'prelude',
      ["math.max(number('f'), number('l'), carried(), seq or 0)", "math.max(number('f'), carried(), seq or 0)"],
    ],
  ),
  clause(
    'fence',
    'larger than all arguments',
    ['record', ['Math.max(record.fence, record.floor, carried(record))', 'Math.max(record.fence, record.floor)']],
    [
      'prelude',
      ["math.max(number('f'), number('l'), carried(), seq or 0)", "math.max(number('f'), number('l'), seq or 0)"],
    ],
  ),
  clause(
    'fence',
    'not far ahead of the node’s clock',
    ['record', ['if (fence > micros + half)', 'if (false)']],
    ['prelude', ['if fence > micros + half then', 'if false then']],
  ),
  clause(
    'fence',
    'not far behind the node’s clock',
    ['record', ['const slow = fence < micros - half;', 'const slow = false;']],
    ['prelude', ['local slow = fence < micros - half', 'local slow = false']],
  ),
];

export const CLAIM_CLAUSES = [...CLAIMS, ...DONE, ...FENCE].flat();

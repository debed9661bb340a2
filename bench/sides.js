// Who takes part.
import { CELERY_QUEUE, QUEUE } from './books.js';
import { findCelery, installCelery, provideBullmq } from './peers.js';

/** `slow`: gets a tenth of the operations. `only`: the one row that it is in. Without a queue at the broker a side is asked itself. */
const ALL = {
  ours: { label: 'solotask', queue: QUEUE },
  floor: { label: 'floor', queue: QUEUE },
  hand: { label: 'by hand', queue: QUEUE, only: 'work, unique' },
  bullmq: { label: 'BullMQ' },
  celery: { label: 'Celery', queue: CELERY_QUEUE, slow: true },
};

const wanted = ({ sides, quick, celery }, name) => sides?.includes(name) ?? (name !== 'celery' || celery || !quick);

/** The sides of this run by their names, each with what its process needs to know. Installs what is to be installed. */
export async function chooseSides(options, say) {
  const chosen = Object.keys(ALL).filter((name) => wanted(options, name));
  const settings = { floor: { bare: options.bareFloor }, celery: {} };
  if (chosen.includes('bullmq')) await provideBullmq(say);
  if (chosen.includes('celery')) {
    if (options.celery && (await findCelery()) === undefined) await installCelery(say);
    const found = await findCelery();
    if (found === undefined) say('Celery is not there (--celery installs it): its column stays empty\n');
    settings.celery = found;
  }
  const there = chosen.filter((name) => name !== 'celery' || settings.celery !== undefined);
  return Object.fromEntries(there.map((name) => [name, { name, ...ALL[name], settings: settings[name] ?? {} }]));
}

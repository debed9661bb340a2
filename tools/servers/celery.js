// Where a real Celery comes from: the Python of the system, with its own packages or with Debian's.
import { installDebian } from './find.js';
import { run } from './child.js';

const PYTHON = '/usr/bin/python3';
const PACKAGES = ['python3-celery', 'python3-redis'];

const works = async () => (await run(PYTHON, ['-c', 'import celery, redis'])).ok;

/** The Python that has Celery and redis-py; installs Debian's packages as root. Rejects with what to install. */
export async function findCelery(say) {
  if (!(await works())) await installDebian(PACKAGES, 'the Celery specs need a real Celery', say);
  return PYTHON;
}

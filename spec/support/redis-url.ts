/** The Redis that the specs may use; they never skip for want of one. */
export function redisUrl(): string {
  const url = process.env['SOLOTASK_TEST_REDIS_URL'];
  if (url === undefined || url === '') throw new Error('set SOLOTASK_TEST_REDIS_URL to a Redis that the specs may use');
  return url;
}

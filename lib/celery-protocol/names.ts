/** Headers of a Celery 2 message. */
export const CELERY_HEADERS: readonly string[] = [
  'lang',
  'task',
  'id',
  'root_id',
  'parent_id',
  'group',
  'shadow',
  'eta',
  'expires',
  'retries',
  'timelimit',
  'argsrepr',
  'kwargsrepr',
  'origin',
  'ignore_result',
  'compression',
];

/** Headers that solotask adds to what it publishes, and carries over into every further copy. */
export const OWN_HEADERS: readonly string[] = ['attempt', 'lock_key', 'lock_mode', 'lock_fence', 'enqueued_at'];

/** Headers that belong to one publish: set afresh each time, never carried over. */
export const PUBLISH_HEADERS: readonly string[] = [
  'copy',
  'due',
  'due_queue',
  'due_expires',
  'stand_in',
  'suspect',
  'dead_code',
  'dead_reason',
  'dead_stack',
  'dead_at',
  'dead_queue',
];

/** Headers that are instructions to the broker: further queues that a message is copied to. */
export const BROKER_HEADERS: readonly string[] = ['CC', 'BCC'];

/** What a Celery worker's request has by itself, methods included: it overwrites them with the headers of the same name. */
const CELERY_REQUEST: readonly string[] = [
  'args',
  'kwargs',
  'callbacks',
  'errbacks',
  'chain',
  'chord',
  'as_execution_options',
  'called_directly',
  'children',
  'clear',
  'correlation_id',
  'delivery_info',
  'get',
  'group_index',
  'headers',
  'hostname',
  'is_eager',
  'logfile',
  'loglevel',
  'properties',
  'replaced_task_nesting',
  'reply_to',
  'stamped_headers',
  'stamps',
  'taskset',
  'update',
  'utc',
];

/** Names that a caller's own headers may not take. */
export const RESERVED_HEADERS: ReadonlySet<string> = new Set([
  ...CELERY_HEADERS,
  ...OWN_HEADERS,
  ...PUBLISH_HEADERS,
  ...BROKER_HEADERS,
  ...CELERY_REQUEST,
]);

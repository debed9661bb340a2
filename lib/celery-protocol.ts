/**
 * The codec of task messages: Celery's message protocol 2, with solotask's own headers added flat. Pure; reads no clock.
 * Source: https://docs.celeryq.dev/en/stable/internals/protocol.html, and frames of Celery 5.2.6.
 */
export { argumentsText, readArguments, withArguments } from './celery-protocol/arguments.js';
export { decodeBody } from './celery-protocol/decode-body.js';
export { decodeHead } from './celery-protocol/decode-head.js';
export { parseKombu } from './celery-protocol/kombu-json.js';
export { checkedHeaders, encode } from './celery-protocol/encode.js';
export {
  type DeadLetter,
  deadLetter,
  republish,
  type RepublishChanges,
  type Revival,
  revive,
} from './celery-protocol/republish.js';

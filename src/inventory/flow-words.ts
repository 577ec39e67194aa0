import type { SinkKind } from '../domain/flow.ts';

/** Everyday words that proposals of flow go by. Whatever they propose, a person confirms. */

/** By the verb in a tool's name: what a call of it can carry outside or destroy, and how people ask for it. */
export const VERBS: Readonly<Record<string, { readonly sink?: SinkKind; readonly asked: readonly string[] }>> = {
  send: {
    sink: 'external',
    asked: ['send', 'email', 'mail', 'message', 'write to', 'reply', 'forward', 'tell', 'notify'],
  },
  email: { sink: 'external', asked: ['send', 'email', 'mail', 'reply', 'forward'] },
  reply: { sink: 'external', asked: ['reply', 'answer', 'respond', 'send'] },
  forward: { sink: 'external', asked: ['forward', 'send', 'pass on'] },
  post: { sink: 'external', asked: ['post', 'publish', 'send', 'share', 'announce', 'write'] },
  publish: { sink: 'external', asked: ['publish', 'post', 'release', 'share'] },
  share: { sink: 'external', asked: ['share', 'give access', 'grant access', 'send'] },
  upload: { sink: 'external', asked: ['upload', 'send', 'put', 'share'] },
  push: { sink: 'external', asked: ['push', 'publish'] },
  invite: { sink: 'external', asked: ['invite', 'add', 'include'] },
  reserve: { sink: 'external', asked: ['reserve', 'book', 'make a reservation'] },
  book: { sink: 'external', asked: ['book', 'reserve'] },
  order: { sink: 'money', asked: ['order', 'buy', 'purchase'] },
  buy: { sink: 'money', asked: ['buy', 'order', 'purchase'] },
  pay: { sink: 'money', asked: ['pay', 'settle', 'send', 'transfer', 'refund'] },
  refund: { sink: 'money', asked: ['refund', 'repay', 'reimburse', 'pay back'] },
  transfer: { sink: 'money', asked: ['transfer', 'send', 'pay', 'move'] },
  delete: { sink: 'destroy', asked: ['delete', 'remove', 'erase', 'throw away', 'clear'] },
  remove: { sink: 'destroy', asked: ['remove', 'delete', 'take out', 'kick'] },
  purge: { sink: 'destroy', asked: ['purge', 'delete', 'clear'] },
  drop: { sink: 'destroy', asked: ['drop', 'delete', 'remove'] },
  grant: { sink: 'admin', asked: ['grant', 'give', 'allow', 'permit'] },
  revoke: { sink: 'admin', asked: ['revoke', 'take away', 'withdraw'] },
  create: {
    asked: ['create', 'make', 'add', 'new', 'set up', 'write', 'open', 'start', 'schedule', 'plan', 'organize'],
  },
  add: { asked: ['add', 'include', 'put', 'invite', 'append', 'insert'] },
  append: { asked: ['append', 'add', 'write', 'put', 'insert'] },
  insert: { asked: ['insert', 'add', 'put'] },
  write: { asked: ['write', 'save', 'create', 'store', 'put'] },
  save: { asked: ['save', 'store', 'write', 'keep'] },
  update: { asked: ['update', 'change', 'edit', 'modify', 'adjust', 'correct', 'set', 'increase', 'reduce'] },
  edit: { asked: ['edit', 'change', 'update', 'modify', 'correct'] },
  set: { asked: ['set', 'change', 'update'] },
  rename: { asked: ['rename', 'call', 'change name'] },
  move: { asked: ['move', 'put', 'transfer'] },
  copy: { asked: ['copy', 'duplicate'] },
  schedule: { asked: ['schedule', 'set up', 'plan', 'book', 'recurring', 'standing order'] },
  reschedule: { asked: ['reschedule', 'move', 'postpone', 'shift', 'change'] },
  cancel: { asked: ['cancel', 'call off', 'delete', 'remove'] },
  close: { asked: ['close', 'finish', 'resolve'] },
  open: { asked: ['open', 'create', 'file'] },
  comment: { asked: ['comment', 'reply', 'write', 'answer'] },
  assign: { asked: ['assign', 'give'] },
  merge: { asked: ['merge', 'land'] },
  deploy: { asked: ['deploy', 'release', 'roll out'] },
  run: { asked: ['run', 'execute', 'start'] },
  execute: { asked: ['execute', 'run'] },
};

/** Kind of value by the name of an argument, and whether it says who, where to, or what key. */
export const ARGUMENT_KINDS: readonly (readonly [kind: string, pattern: RegExp])[] = [
  ['secret', /^(new_?)?(pass(word|phrase|code)?|pin|secret|token|api_?key|key)$/],
  ['url', /(^|_)(url|uri|link|href|webhook|endpoint|site|website)s?$/],
  ['account', /(^|_)(iban|account(_number)?|payee|beneficiary)$/],
  ['address', /(^|_)(e_?mails?|recipients?|to|cc|bcc|participants?|attendees?|invitees?|address(es)?)$/],
  ['channel', /(^|_)(channels?|rooms?|chats?)(_id)?$/],
  ['user', /(^|_)(users?|username|user_name|members?|assignees?|collaborators?)(_id)?$/],
  ['place', /^(hotel|restaurant|company|vendor|repo|repository|owner|bucket|host)(_name)?$/],
];

/** What the system or its user has written, and nobody else. */
export const TRUSTED_SOURCE =
  /(^|_)(contacts?|address_book|current|time|clock|balance|iban|user_info|user_information|profile|me|self|whoami)(_|$)/;
export const FETCHES = /(^|_)(fetch|browse|crawl|scrape|webpage|web_page|website|page|url|http|download|navigate)(_|$)/;
/** A person, a channel or an address among the arguments makes a write reach somebody. */
export const REACHING: ReadonlySet<string> = new Set(['address', 'channel', 'account']);

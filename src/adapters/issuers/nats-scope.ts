import { RemitError } from '../../domain/errors.ts';
import type { ActionClass } from '../../domain/tool.ts';

/**
 * What a task's resources and action classes come to in NATS: subjects that a user may subscribe to, and publish to. A resource is a subject, in
 * which `*` stands for one token and `>` at the end for all that follow (NATS, "Subject-Based Messaging").
 */

export interface NatsScope {
  readonly subscribe: readonly string[];
  readonly publish: readonly string[];
}

/** Permissions of a user's JWT. An empty list of what is allowed would allow everything: then everything is denied by name. */
export interface NatsPermissions {
  readonly pub: { readonly allow: string[]; readonly deny: string[] };
  readonly sub: { readonly allow: string[]; readonly deny: string[] };
}

/** What a class opens; `code`, `privilege` and `secret` open no subject at all. */
const OPENS: Readonly<Record<ActionClass, 'subscribe' | 'publish' | undefined>> = {
  read: 'subscribe',
  export: 'subscribe',
  write: 'publish',
  ticket: 'publish',
  financial: 'publish',
  code: undefined,
  privilege: undefined,
  secret: undefined,
};

const MOST_SUBJECTS = 200;
const MOST_SUBJECT_BYTES = 256;

/**
 * @throws `ERR_CREDENTIAL_ISSUE` where nothing remains to open, for too many subjects, and for one that is not well formed or would open what
 * belongs to the server or to other clients
 */
export function natsScope(resources: readonly string[], classes: readonly ActionClass[]): NatsScope {
  const opened = new Set(classes.map((actionClass) => OPENS[actionClass]));
  const mayPublish = opened.has('publish');
  const maySubscribe = opened.has('subscribe');
  if (!mayPublish && !maySubscribe) {
    throw new RemitError('ERR_CREDENTIAL_ISSUE', `action classes ${classes.join(', ') || '(none)'} open no subject`, {
      hint: 'Only read and export come to subscribing in NATS, and write, ticket and financial to publishing.',
    });
  }
  if (resources.length === 0) {
    throw new RemitError('ERR_CREDENTIAL_ISSUE', 'the task names no resource of this connector', {
      hint: 'Name its subjects in the task or its template, for example bus:orders.>. Nothing is opened unnamed.',
    });
  }
  const subjects = [...new Set(resources)];
  for (const subject of subjects) assertSubject(subject);
  if (subjects.length > MOST_SUBJECTS) {
    throw new RemitError(
      'ERR_CREDENTIAL_ISSUE',
      `the task names ${subjects.length} subjects; the most is ${MOST_SUBJECTS}`,
    );
  }
  return { subscribe: maySubscribe ? subjects : [], publish: mayPublish ? subjects : [] };
}

/**
 * Not under a first token that is a wildcard, which would be everybody's replies and JetStream's administration as well; nor those by name.
 */
function assertSubject(subject: string): void {
  const tokens = subject.split('.');
  const isWellFormed =
    Buffer.byteLength(subject) <= MOST_SUBJECT_BYTES &&
    !/[\s\p{Cc}\p{Surrogate}]/u.test(subject) &&
    tokens.every((token, at) => {
      if (token === '>') return at === tokens.length - 1;
      return token === '*' || (token !== '' && !/[*>]/.test(token));
    });
  const first = tokens[0] ?? '';
  const isOthers = first === '*' || first === '>' || first.startsWith('$') || first.startsWith('_INBOX');
  if (isWellFormed && !isOthers) return;
  throw new RemitError(
    'ERR_CREDENTIAL_ISSUE',
    `${JSON.stringify(subject)} is no subject that a lease can open${isWellFormed ? ': it reaches the server’s own, or other clients’ replies' : ''}`,
    {
      where: subject,
      hint: 'Write tokens with a dot between; * for one token, > for all that follow, neither as the first; not under $ or _INBOX.',
    },
  );
}

/** Where replies to the requests of one lease go: under its own name, so that nobody hears another's. */
export function inboxOf(tag: string): string {
  return `_INBOX_${tag}`;
}

/** @param scope undefined: may connect, and do nothing */
export function natsPermissions(scope: NatsScope | undefined, tag: string): NatsPermissions {
  const { subscribe = [], publish = [] } = scope ?? {};
  // Who may publish may send requests, and hears the replies.
  const heard = publish.length === 0 ? subscribe : [...subscribe, `${inboxOf(tag)}.>`];
  return { pub: allowOnly(publish), sub: allowOnly(heard) };
}

function allowOnly(subjects: readonly string[]): { allow: string[]; deny: string[] } {
  return subjects.length === 0 ? { allow: [], deny: ['>'] } : { allow: [...subjects], deny: [] };
}

/** For people: `subscribe, publish on orders.>`. */
export function describeNatsScope({ subscribe, publish }: NatsScope): string {
  const verbs = [subscribe.length > 0 && 'subscribe', publish.length > 0 && 'publish'].filter(Boolean);
  return `${verbs.join(', ')} on ${(subscribe.length > 0 ? subscribe : publish).join(', ')}`;
}

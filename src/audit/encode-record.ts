import type { TenantId } from '../domain/ids.ts';
import type { SealedContent } from '../domain/record.ts';
import type { RecordEntry } from './recorder.ts';

/** Texts kept; all are made anew when there are more, which costs little. */
const MOST_KEPT = 1_000;

/** JSON of the fields that all records of a task share, and what it was made of. */
interface Who extends Pick<RecordEntry, 'trace' | 'user' | 'agent' | 'actors' | 'workload'> {
  readonly text: string;
}

/** The same for a tool: its connector and the lease under which it is called. */
interface Where extends Pick<RecordEntry, 'connector' | 'lease'> {
  readonly text: string;
}

/**
 * Makes the JSON text of records. Three are written for each call and most of a record says who calls what, over and over: those parts are
 * kept as text. What is kept is used only for the very values that it was made of.
 */
export function createRecordEncoder(
  tenant: TenantId,
): (entry: RecordEntry, now: number, sealed: SealedContent | undefined) => string {
  const tenantText = field('tenant', tenant);
  const whos = new Map<string, Who>();
  const wheres = new Map<string, Where>();
  let second = Number.NaN;
  let secondText = '';

  /** RFC 3339, to the millisecond; made anew once a second. */
  function timeText(now: number): string {
    const inSecond = now - second;
    if (inSecond >= 0 && inSecond < 1000 && Number.isInteger(inSecond)) {
      return `${secondText}${inSecond < 10 ? '00' : inSecond < 100 ? '0' : ''}${inSecond}Z"`;
    }
    const text = new Date(now).toISOString();
    second = Math.floor(now / 1000) * 1000;
    secondText = `{"time":"${text.slice(0, -4)}`;
    return `{"time":"${text}"`;
  }

  function whoText(entry: RecordEntry): string {
    const { trace, user, agent, actors, workload, task } = entry;
    const known = task === undefined ? undefined : whos.get(task);
    if (
      known !== undefined &&
      known.trace === trace &&
      known.user === user &&
      known.agent === agent &&
      known.actors === actors &&
      known.workload === workload
    ) {
      return known.text;
    }
    const text =
      tenantText +
      field('trace', trace) +
      field('user', user) +
      field('agent', agent) +
      field('actors', actors) +
      field('workload', workload) +
      field('task', task);
    // Frozen only: a list that can change would not be noticed.
    if (task !== undefined && (actors === undefined || Object.isFrozen(actors))) {
      keep(whos, task, { trace, user, agent, actors, workload, text } as Who);
    }
    return text;
  }

  function whereText({ connector, tool, lease }: RecordEntry): string {
    if (tool === undefined) return field('connector', connector) + field('lease', lease);
    const known = wheres.get(tool);
    if (known !== undefined && known.connector === connector && known.lease === lease) return known.text;
    const text = field('connector', connector) + field('tool', tool) + field('lease', lease);
    keep(wheres, tool, { connector, lease, text } as Where);
    return text;
  }

  return (entry, now, sealed) =>
    `${timeText(now)}${field('type', entry.type)}${whoText(entry)}${field('span', entry.span)}${whereText(entry)}` +
    `,"detail":${typeof entry.detail === 'string' ? entry.detail : JSON.stringify(entry.detail)}${sealedText(sealed)}}`;
}

function sealedText(sealed: SealedContent | undefined): string {
  if (sealed === undefined) return '';
  // Base64 and hex need no escapes.
  const { key, stream, at, digest, ciphertext } = sealed;
  return `,"sealed":{"key":${JSON.stringify(key)},"stream":"${stream}","at":${at},"digest":"${digest}","ciphertext":"${ciphertext}"}`;
}

/** `,"name":value`; nothing for a value that is not known. */
function field(name: string, value: unknown): string {
  return value === undefined ? '' : `,"${name}":${JSON.stringify(value)}`;
}

function keep<T>(texts: Map<string, T>, key: string, text: T): void {
  if (texts.size >= MOST_KEPT && !texts.has(key)) texts.clear();
  texts.set(key, text);
}

/** When an agent works, in the words of its owner. */
export interface WorkingHours {
  readonly days: readonly Day[];
  /** `08:00`, of the time zone; `to` is the first minute that is outside. Where `to` is not after `from`, it is of the next day. */
  readonly from: string;
  readonly to: string;
  /** IANA name. */
  readonly timeZone: string;
}

export const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;
export type Day = (typeof DAYS)[number];

/** Whether a time is outside. A time that is none is. */
export function createOffHours({ days, from, to, timeZone }: WorkingHours): (now: number) => boolean {
  const format = new Intl.DateTimeFormat('en-GB', {
    timeZone,
    weekday: 'short',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
  });
  const works = new Set(days);
  const first = minutesOf(from);
  const last = minutesOf(to);
  const dayBefore = (day: Day): Day => DAYS[(DAYS.indexOf(day) + 6) % 7] as Day;

  return (now) => {
    if (!Number.isFinite(now)) return true;
    const parts = Object.fromEntries(format.formatToParts(now).map(({ type, value }) => [type, value]));
    const day = String(parts.weekday).slice(0, 3).toLowerCase() as Day;
    const minute = Number(parts.hour) * 60 + Number(parts.minute);
    if (first < last) return !(works.has(day) && minute >= first && minute < last);
    return !((works.has(day) && minute >= first) || (works.has(dayBefore(day)) && minute < last));
  };
}

function minutesOf(text: string): number {
  const [hours, minutes] = text.split(':').map(Number);
  return (hours ?? 0) * 60 + (minutes ?? 0);
}

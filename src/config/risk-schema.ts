import { z } from 'zod';
import { RISK_LEVELS, type SignalKind } from '../domain/risk.ts';
import { allowPrivateNetwork, secretName } from './schema-parts.ts';

/** How risk is reckoned, and what follows from it. */

/** An external event weighs what its own entry says. */
type Weighed = Exclude<SignalKind, 'external'>;

/** Points of each kind of signal, where the configuration says nothing else. */
const POINTS: Readonly<Record<Weighed, number>> = {
  denials: 20,
  novel_tool: 5,
  novel_destination: 10,
  taint: 5,
  off_hours: 10,
  definition_changed: 25,
  suspect_definition: 20,
  connector_fault: 5,
  credential_echoed: 60,
  canary: 200,
};

const points = z.number().min(0).max(10_000);
const level = z.enum(RISK_LEVELS.filter((one) => one !== 'low'));

const rule = z
  .strictObject({
    hold: level.optional().describe('From this level on its calls wait for a person.'),
    holdReads: z.boolean().default(false).describe('Whether calls of class read wait as well.'),
    suspend: level.optional().describe('From this level on it is suspended, its credentials with it.'),
    revoke: level.optional().describe('From this level on it is revoked.'),
  })
  .prefault({});

const transmitter = z.strictObject({
  issuer: z.url({ protocol: /^https?$/ }),
  audience: z.string().min(1).describe('`aud` of its tokens: this gateway, as the transmitter knows it.'),
  jwksUri: z
    .url({ protocol: /^https?$/ })
    .optional()
    .describe('Left out: found through the issuer’s metadata.'),
  allowPrivateNetwork,
  authorization: secretName.optional().describe('Secret that its Authorization header has to be, whole.'),
  events: z
    .record(z.string().min(1), points)
    .describe('Points by event type URI; any other is taken, and does nothing.'),
  usersOf: z.array(z.string().min(1)).optional().describe('Issuers of whose users it may speak; left out: its own.'),
  agents: z.array(z.string().min(1)).default([]).describe('Agents of which it may speak.'),
  connectors: z.array(z.string().min(1)).default([]).describe('Connectors of which it may speak.'),
});

export const riskSchema = z.strictObject({
  halfLifeMinutes: z.number().min(1).max(43_200).default(30).describe('A score halves in this time.'),
  levels: z
    .strictObject({
      elevated: z.number().min(1).default(20),
      high: z.number().min(1).default(50),
      critical: z.number().min(1).default(100),
    })
    .prefault({})
    .refine(({ elevated, high, critical }) => elevated < high && high < critical, 'elevated < high < critical')
    .describe('Scores from which on a level is reached.'),
  points: z
    .strictObject(
      Object.fromEntries(Object.entries(POINTS).map(([kind, usual]) => [kind, points.default(usual)])) as {
        [kind in Weighed]: z.ZodDefault<typeof points>;
      },
    )
    .prefault({})
    .describe('What each kind of signal weighs; 0 turns it off.'),
  denials: z
    .strictObject({
      count: z.int().min(1).max(1_000).default(5),
      windowSeconds: z.int().min(1).max(86_400).default(60),
    })
    .prefault({})
    .describe('So many denials of one task within so long are a signal.'),
  learnHours: z
    .number()
    .min(0)
    .max(8_760)
    .default(24)
    .describe('What an agent does under a template for the first time is noted for so long, before it is a signal.'),
  transmitters: z
    .record(
      z.string().regex(/^[a-z][a-z0-9-]{0,62}$/, 'a name is 1–63 of a–z, 0–9 and -, starting with a letter'),
      transmitter,
    )
    .default({})
    .refine(
      (all) => new Set(Object.values(all).map(({ issuer }) => issuer)).size === Object.keys(all).length,
      'two transmitters have the same issuer',
    )
    .describe('Who may push security event tokens to /risk/events.'),
  task: rule,
  connector: rule,
  agent: rule,
  user: rule,
});

const clockTime = z.string().regex(/^([01]\d|2[0-3]):[0-5]\d$/, 'a time of day is written 08:00');

export const hoursSchema = z
  .strictObject({
    days: z
      .array(z.enum(['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun']))
      .min(1)
      .default(['mon', 'tue', 'wed', 'thu', 'fri']),
    from: clockTime.default('08:00'),
    to: clockTime.default('18:00'),
    timeZone: z
      .string()
      .refine(isTimeZone, 'no such time zone')
      .default('UTC')
      .describe('IANA name, such as Europe/Berlin.'),
  })
  .describe('When the agent works; a call outside is a signal.');

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en-GB', { timeZone: name });
    return true;
  } catch {
    return false;
  }
}

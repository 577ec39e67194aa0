import { z } from 'zod';

/** Small shapes that several parts of `remit.yaml` share. */

/** Names starting with `remit-` are Remit's own: the journal's signing key must not become a connector's credential. */
export const SECRET_NAME = /^(?!remit-)[a-z][a-z0-9_-]{0,62}$/;

export const owner = z.string().min(1).describe('The one accountable person or team, for example an e-mail address.');
export const secretName = z
  .string()
  .regex(SECRET_NAME, 'a secret name is 1–63 of a–z, 0–9, _ and -, starting with a letter; remit-… are Remit’s own');
export const keyName = z.string().regex(/^[a-z][a-z0-9-]{0,62}$/, 'a key’s name is 1–63 of a–z, 0–9 and -');
export const variableName = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'not an environment variable name');
export const allowPrivateNetwork = z
  .boolean()
  .default(false)
  .describe('Whether its address may be one of a private network (RFC 1918 and its like), by name or as it stands.');

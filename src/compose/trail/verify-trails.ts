import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { VERIFIER_FILE } from '../../adapters/journal/frame.ts';
import { createJournalReader } from '../../adapters/journal/journal-reader.ts';
import { rootsAt } from '../../adapters/journal/roots-at.ts';
import { readIfThere } from '../../adapters/journal/segments.ts';
import { parseVerifier } from '../../adapters/journal/signed-note.ts';
import { readAnchor } from '../../adapters/journal/verify-journal.ts';
import { findSightings, type Sighting, type Sightings } from '../../audit/find-sightings.ts';
import { isRemitError, RemitError } from '../../domain/errors.ts';
import type { SeenHead } from '../../domain/trail-head.ts';
import { type VerifiedTrail, verifyTrail } from './verify-trail.ts';

export interface VerifyTrailsOptions {
  /** Verifier keys as noted elsewhere, each of one of the journals. */
  readonly keys: readonly string[];
  /** Files with checkpoints that were kept elsewhere. */
  readonly anchors: readonly string[];
  /** Nodes, or origins, whose journals are known to be absent. */
  readonly without: readonly string[];
  /** Milliseconds: what was seen later does not count. */
  readonly seenBefore: number | undefined;
  /** Names of nodes whose journals have to be there: those of other nodes may be elsewhere, and are told. Left out: all that were seen. */
  readonly expected?: readonly string[] | undefined;
}

/** One journal of several. */
export interface VerifiedChain {
  readonly folder: string;
  readonly origin: string;
  /** As others call it; undefined when none of them has seen it. */
  readonly node: string | undefined;
  readonly verified: Extract<VerifiedTrail, { ok: true }>;
}

export interface TrailProblem {
  readonly origin: string;
  readonly node: string | undefined;
  /** File or folder, and record. */
  readonly where: string;
  readonly what: string;
}

export type VerifiedTrails =
  | {
      readonly ok: true;
      readonly chains: readonly VerifiedChain[];
      /** Checkpoints of one journal in another that were compared with it. */
      readonly compared: number;
      /** Journals that were seen and are not there, as `without` says, because they were given up on record, or because they are of other data folders. */
      readonly absent: readonly {
        readonly origin: string;
        readonly node: string;
        readonly size: number;
        readonly why: string;
      }[];
    }
  | { readonly ok: false; readonly problems: readonly TrailProblem[] };

interface Chain {
  readonly folder: string;
  readonly origin: string;
  readonly said: Sightings;
}

interface Witnessed extends Sighting {
  readonly witness: Chain;
}

/**
 * Verifies the journals of several nodes together, offline: each by itself, then every checkpoint of one that stands in another against the tree
 * of the one that it is of. All that is wrong is found, not the first alone.
 * @throws `ERR_USAGE` (a key or anchor of none of them), `ERR_NOT_FOUND` (no journal in a folder), `ERR_JOURNAL_FAILED` (unreadable)
 */
export async function verifyTrails(folders: readonly string[], options: VerifyTrailsOptions): Promise<VerifiedTrails> {
  const { seenBefore, without, expected } = options;
  // What they say of each other is read before any is verified: one that is written to meanwhile only grows.
  const chains: Chain[] = [];
  for (const folder of folders) {
    const origin = await originIn(folder);
    chains.push({ folder, origin, said: await sightingsIn(folder, seenBefore) });
  }
  const witnessed: Witnessed[] = chains.flatMap((witness) => witness.said.seen.map((seen) => ({ ...seen, witness })));
  const nameOf = (origin: string): string | undefined => witnessed.find((seen) => seen.origin === origin)?.node;
  const [keys, anchors] = [givenKeys(chains, options.keys), await givenAnchors(chains, options.anchors)];

  const problems: TrailProblem[] = [];
  const verified: VerifiedChain[] = [];
  for (const { folder, origin } of chains) {
    const node = nameOf(origin);
    const found = await verifyTrail(folder, { key: keys.get(origin), anchorFile: anchors.get(origin) });
    if (found.ok) verified.push({ folder, origin, node, verified: found });
    else {
      const { where, what } = found.problem;
      const record = where.record === undefined ? '' : `, record ${where.record}`;
      problems.push({ origin, node, where: `${where.file}, byte ${where.offset}${record}`, what });
    }
  }
  problems.push(...(await compare(verified, witnessed)));

  const isHere = new Set(chains.map(({ origin }) => origin));
  const givenUp = new Map(chains.flatMap((by) => by.said.givenUp.map((one) => [one.origin, { ...one, by }] as const)));
  const absent = newestOf(witnessed.filter(({ origin }) => !isHere.has(origin))).map((seen) => ({
    ...seen,
    why: givenUp.has(seen.origin)
      ? `given up in record ${givenUp.get(seen.origin)?.record} of ${givenUp.get(seen.origin)?.by.folder}`
      : without.some((name) => name === seen.node || name === seen.origin)
        ? 'named as absent'
        : expected !== undefined && !expected.includes(seen.node)
          ? 'a node of another data folder, not verified here'
          : undefined,
  }));
  for (const { origin, node, size, why, witness, record } of absent) {
    if (why !== undefined) continue;
    const what = `its journal is not among those given, and was seen with ${size} records`;
    problems.push({ origin, node, where: `${witness.folder}, record ${record}`, what });
  }
  problems.push(...twice(witnessed, givenUp));
  if (problems.length > 0) return { ok: false, problems };
  return {
    ok: true,
    chains: verified,
    compared: witnessed.filter(({ origin }) => isHere.has(origin)).length,
    absent: absent.map(({ origin, node, size, why = '' }) => ({ origin, node, size, why })),
  };
}

/** Every head that others have seen has to be one of the log that it is of. */
async function compare(chains: readonly VerifiedChain[], witnessed: readonly Witnessed[]): Promise<TrailProblem[]> {
  const problems: TrailProblem[] = [];
  for (const { folder, origin, node, verified } of chains) {
    const verifier = parseVerifier((await readFile(join(folder, VERIFIER_FILE), 'latin1')).trim());
    if (verifier === undefined) continue;
    const longest = Math.max(...chains.filter((one) => one.origin === origin).map((one) => one.verified.size));
    const others = chains.filter((one) => one.origin === origin && one.folder !== folder);
    const heads = witnessed.filter((seen) => seen.origin === origin);
    const roots = await rootsAt(
      folder,
      [...heads, verified, ...others.map((one) => one.verified)].map(({ size }) => size),
    );
    for (const head of heads) {
      const { size, key, checkpoint, witness, record } = head;
      const where = `${witness.folder}, record ${record}`;
      const say = (what: string): void => void problems.push({ origin, node, where, what });
      const signed = key === verifier.text ? rootOf(checkpoint, verifier) : undefined;
      if (signed === undefined) say('what was seen of it there is not signed by its key');
      else if (size > longest && verified.size === longest && !verified.isPart) {
        say(`the log in ${folder} ends after ${longest} records, and was seen there with ${size}`);
      } else if (size <= verified.size && roots.get(size) !== signed) {
        say(`the log in ${folder} is not the one that was seen there: its first ${size} records are others`);
      }
    }
    for (const other of others) {
      const size = Math.min(other.verified.size, verified.size);
      if (size !== other.verified.size || roots.get(size) === (await rootsAt(other.folder, [size])).get(size)) continue;
      problems.push({ origin, node, where: folder, what: `it is not the same log as the one in ${other.folder}` });
    }
  }
  return problems;
}

function rootOf(checkpoint: string, verifier: Parameters<typeof readAnchor>[1]): string | undefined {
  try {
    return readAnchor(checkpoint, verifier).root;
  } catch {
    return undefined;
  }
}

/** Other journals that stand in this one, each with the longest head that was seen; without those that were given up for it. */
export async function seenElsewhere(folder: string): Promise<readonly Pick<SeenHead, 'node' | 'origin' | 'size'>[]> {
  const { seen, givenUp } = await sightingsIn(folder, undefined);
  const own = await originIn(folder);
  return newestOf(seen)
    .filter(({ origin }) => origin !== own && !givenUp.some((one) => one.origin === origin))
    .map(({ node, origin, size }) => ({ node, origin, size }));
}

/** A node that has begun a journal anew has said so in it. */
function twice(witnessed: readonly Witnessed[], givenUp: ReadonlyMap<string, unknown>): TrailProblem[] {
  const byNode = new Map<string, Witnessed[]>();
  for (const seen of newestOf(witnessed.filter(({ origin }) => !givenUp.has(origin)))) {
    byNode.set(seen.node, [...(byNode.get(seen.node) ?? []), seen]);
  }
  return [...byNode].flatMap(([node, [first, second]]) =>
    first === undefined || second === undefined
      ? []
      : [
          {
            origin: second.origin,
            node,
            where: `${second.witness.folder}, record ${second.record}`,
            what: `it has another journal too, ${first.origin}, and no record says that one was given up`,
          },
        ],
  );
}

/** Of each journal the longest head that was seen. */
function newestOf<T extends SeenHead>(witnessed: readonly T[]): T[] {
  const newest = new Map<string, T>();
  for (const seen of witnessed) if (seen.size >= (newest.get(seen.origin)?.size ?? 0)) newest.set(seen.origin, seen);
  return [...newest.values()];
}

async function originIn(folder: string): Promise<string> {
  const path = join(folder, VERIFIER_FILE);
  const text = (await readIfThere(path))?.toString('latin1').trim();
  if (text === undefined) {
    const hint = 'Name folders that hold a journal each, or what was shipped of one.';
    throw new RemitError('ERR_NOT_FOUND', 'there is no verifier key in the folder', { where: path, hint });
  }
  // One that is none is found when the chain is verified.
  return parseVerifier(text)?.name ?? text;
}

async function sightingsIn(folder: string, before: number | undefined): Promise<Sightings> {
  try {
    return await findSightings(createJournalReader(folder).read(0), before);
  } catch (error) {
    // It is found again, with its place, when the chain is verified.
    if (isRemitError(error, 'ERR_JOURNAL_DAMAGED')) return { seen: [], givenUp: [] };
    throw error;
  }
}

function givenKeys(chains: readonly Chain[], keys: readonly string[]): Map<string, string> {
  return new Map(
    keys.map((text) => {
      const verifier = parseVerifier(text.trim());
      if (verifier !== undefined && chains.some(({ origin }) => origin === verifier.name)) return [verifier.name, text];
      throw new RemitError('ERR_USAGE', 'a verifier key is of none of these journals', {
        hint: 'It reads name+hash+key: the content of verifier.key as it was when the journal was made.',
      });
    }),
  );
}

async function givenAnchors(chains: readonly Chain[], files: readonly string[]): Promise<Map<string, string>> {
  const anchors = new Map<string, string>();
  for (const file of files) {
    const text = await readFile(file, 'utf8');
    const origin = text.slice(0, Math.max(0, text.indexOf('\n')));
    if (!chains.some((chain) => chain.origin === origin)) {
      throw new RemitError('ERR_USAGE', 'a checkpoint is of none of these journals', { where: file });
    }
    anchors.set(origin, file);
  }
  return anchors;
}

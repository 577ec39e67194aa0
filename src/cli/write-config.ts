import { readFile, rename, writeFile } from 'node:fs/promises';
import { type Document, parseDocument } from 'yaml';
import { parseConfig } from '../config/load-config.ts';
import type { Config } from '../config/schema.ts';

export interface EditedConfig {
  readonly text: string;
  readonly config: Config;
}

/** The configuration with a change made to it; comments and order of everything else stay. @throws `ERR_CONFIG_INVALID` as it would be read */
export async function editConfig(path: string, change: (document: Document) => void): Promise<EditedConfig> {
  const document = parseDocument(await readFile(path, 'utf8'));
  change(document);
  const text = document.toString({ lineWidth: 0 });
  return { text, config: parseConfig(text, path) };
}

/** By rename: whoever reads it meanwhile, and whoever pulls the plug, finds the old one or the new one whole. */
export async function writeConfig(path: string, { text }: EditedConfig): Promise<void> {
  const draft = `${path}.new`;
  await writeFile(draft, text);
  await rename(draft, path);
}

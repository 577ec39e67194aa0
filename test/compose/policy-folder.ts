import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildEstate, type Estate } from '../../src/compose/estate.ts';
import { parseConfig } from '../../src/config/load-config.ts';

/** An estate with a shop and files, as text of a configuration. */
const CONFIG = `
version: 1
environment: test
approvals: { groups: { finance: ["os:*"] } }
agents:
  helper: { owner: dana@shop.example, publicKeys: helper.jwks.json }
  clerk: { owner: dana@shop.example, publicKeys: clerk.jwks.json, environment: production }
connectors:
  shop:
    owner: dana@shop.example
    transport: { http: { url: "https://shop.example/mcp" } }
    tools:
      find: { class: read, dataClasses: [customer], arguments: { text: string }, approvedBy: dana@shop.example }
      note: { class: write, arguments: { text: string }, reversible: true, approvedBy: dana@shop.example }
      pay: { class: financial, arguments: { to: string, amount: long }, sink: money, critical: { to: account }, approvedBy: dana@shop.example }
      grant: { class: privilege, arguments: { who: string }, approvedBy: dana@shop.example }
    resources:
      "shop://orders/*": { class: read, approvedBy: dana@shop.example }
templates:
  look: { owner: dana@shop.example, purpose: look, agents: [helper], classes: [read], tools: [shop/find], requiresUser: true }
  work: { owner: dana@shop.example, purpose: work, agents: [helper, clerk], classes: [read, write, financial], tools: [shop/find, shop/note, shop/pay] }
`;

export const testEstate = (): Estate => buildEstate(parseConfig(CONFIG, 'remit.yaml'));

export interface PolicyFolder {
  readonly folder: string;
  write(name: string, text: string): Promise<void>;
  remove(): Promise<void>;
}

export async function makePolicyFolder(files: Readonly<Record<string, string>>): Promise<PolicyFolder> {
  const folder = await mkdtemp(join(tmpdir(), 'remit-policies-'));
  const write = (name: string, text: string): Promise<void> => writeFile(join(folder, name), text);
  for (const [name, text] of Object.entries(files)) await write(name, text);
  return { folder, write, remove: () => rm(folder, { recursive: true, force: true }) };
}

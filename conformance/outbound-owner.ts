import { runRemit } from '../demo/run-remit.ts';

/** What the owner's browser was shown in the end, or what the command said that refused. */
export interface OwnersDeed {
  readonly isGiven: boolean;
  readonly said: string;
}

const MOST_REDIRECTS = 6;

/**
 * Plays a connector's owner: runs `remit connector authorize`, opens what it prints, and follows redirects like a browser. The suite's
 * authorization servers ask no questions.
 */
export async function authorizeAsOwner(config: string, connector: string): Promise<OwnersDeed> {
  let address: string;
  try {
    const { stdout } = await runRemit(['connector', 'authorize', connector, '--config', config, '--json']);
    address = (JSON.parse(stdout) as { url: string }).url;
  } catch (error) {
    return { isGiven: false, said: error instanceof Error ? error.message : String(error) };
  }
  for (let hop = 0; hop < MOST_REDIRECTS; hop++) {
    const response = await fetch(address, { redirect: 'manual', signal: AbortSignal.timeout(15_000) });
    const said = await response.text();
    const location = response.headers.get('location');
    if (location === null) return { isGiven: response.status === 200, said };
    address = new URL(location, address).href;
  }
  return { isGiven: false, said: 'the browser was sent on and on' };
}

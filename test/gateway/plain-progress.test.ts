import { expect, test } from 'vitest';
import { Dialogue } from '../../src/gateway/stages/dialogue.ts';

const MEMBERS = '"progress":1,"message":"at hunter2-hunter2"';
const SECRET = { value: 'hunter2-hunter2', inJson: 'hunter2-hunter2' };

/** A dialogue whose client notes what reaches it. */
function dialogueWith(client: { canTakePlain: boolean; progressToken?: string; needles?: (typeof SECRET)[] }) {
  const heard: unknown[] = [];
  const side = {
    notify: (method: string, params: object) => heard.push([method, params]),
    ...(client.canTakePlain && { plainProgress: (members: string) => heard.push(members) }),
  };
  const request = { progressToken: client.progressToken, client: side };
  const operation = { request, item: { connector: 'shop', ref: 'shop/pay' } };
  return { heard, dialogue: new Dialogue({} as never, {} as never, operation as never, client.needles ?? []) };
}

test('plain progress goes on as it is written', () => {
  const { heard, dialogue } = dialogueWith({ canTakePlain: true, progressToken: 'p' });
  dialogue.plainProgress(MEMBERS);
  expect(heard).toEqual([MEMBERS]);
});

test('L6 a credential in plain progress is withheld', () => {
  const { heard, dialogue } = dialogueWith({ canTakePlain: true, progressToken: 'p', needles: [SECRET] });
  dialogue.plainProgress(MEMBERS);
  dialogue.plainProgress('"progress":2');
  const message = 'at [withheld by Remit: a credential]';
  expect(heard).toEqual([['notifications/progress', { progress: 1, message, progressToken: 'p' }], '"progress":2']);
});

test('a client that takes it only read, gets it read; one that wants none, none', () => {
  const read = dialogueWith({ canTakePlain: false, progressToken: 'p' });
  read.dialogue.plainProgress('"progress":2');
  expect(read.heard).toEqual([['notifications/progress', { progress: 2, progressToken: 'p' }]]);
  const none = dialogueWith({ canTakePlain: true });
  none.dialogue.plainProgress('"progress":2');
  expect(none.heard).toEqual([]);
});

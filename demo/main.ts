import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { decodeJwt, decodeProtectedHeader } from 'jose';
import type { Access } from '../src/inventory/who-can.ts';
import { type DemoAgent, startAgent, textOf } from './agent.ts';
import { buildEstate, type DemoEstate, USER } from './estate.ts';
import { ConsoleNarrator, type Narrator } from './narrate.ts';
import { callDirectly, failure, leasedRoles } from './probes.ts';
import { commandLines, environmentOf, isAlive } from './processes.ts';
import { type RunningProcess, runRemit, startRemitUp } from './run-remit.ts';

/** `npm run demo`: the main job on real parts. Every claim that is printed as a proof was checked. */

interface Story {
  readonly narrator: Narrator;
  readonly estate: DemoEstate;
  readonly gateway: RunningProcess;
  readonly userToken: string;
}

const BREAK_OUT = "COMMIT; INSERT INTO orders VALUES (99, 1, 'stolen', 0)";

async function main(): Promise<void> {
  const narrator: Narrator = new ConsoleNarrator();
  const startedAt = Date.now();
  process.stdout.write(
    'Remit demo: one agent, one task, one governed database. Starting PostgreSQL, an identity provider, a CRM …\n',
  );
  const estate = await buildEstate();
  let gateway: RunningProcess | undefined;
  let agent: DemoAgent | undefined;
  try {
    const directory = await estate.admin.query('SHOW data_directory');
    process.stdout.write(
      `PostgreSQL ${(await estate.admin.query('SHOW server_version')).rows[0].server_version} in ${directory.rows[0].data_directory}\n`,
    );
    gateway = await startRemitUp(estate.config);
    process.stdout.write(`gateway ${gateway.ready.url} (pid ${gateway.ready.pid})\n`);
    const userToken = await estate.idp.signInAs(USER);
    const story: Story = { narrator, estate, gateway, userToken };

    agent = await proveIdentity(story);
    await discover(story, agent);
    const child = await readOrders(story, agent);
    await breakReadOnly(story, agent);
    await stayWithinTask(story, agent);
    await useStaticToken(story, agent);
    await endTask(story, agent, child);
    await verifyAudit(story);
    await askWhoCan(story);
  } finally {
    await agent?.close().catch(() => {});
    await gateway?.stop();
    await estate.close();
  }
  if (narrator.beats !== 9) throw new Error(`${narrator.beats} beats, not 9`);
  process.stdout.write(
    `\ndemo: 9 beats, ${narrator.proofs} proofs, ${((Date.now() - startedAt) / 1000).toFixed(1)} s\n`,
  );
}

async function proveIdentity({ narrator, estate, gateway, userToken }: Story): Promise<DemoAgent> {
  narrator.beat('The agent proves who it is and declares a task');
  narrator.say(
    'who',
    'agent shop-helper, with its own key (private_key_jwt), for alice, who signed in at the company’s identity provider',
  );
  narrator.say(
    'what',
    'RFC 8693 token exchange with authorization_details (RFC 9396), within the template order-support that dana approved',
  );
  const declare = { template: 'order-support', purpose: 'Why is order 3 of customer 1 late?', budget: { calls: 20 } };
  const withoutUser = await startAgent({ gateway: gateway.ready.url, keyFile: estate.agentKey, declare }).then(
    () => 'accepted',
    (error: Error) => error.message,
  );
  narrator.prove(
    'without the user’s own token there is no user, and this template needs one: refused',
    /user/i.test(withoutUser) && withoutUser !== 'accepted',
  );
  const widened = await startAgent({
    gateway: gateway.ready.url,
    keyFile: estate.agentKey,
    declare: { ...declare, actions: ['read', 'write'] },
    subjectToken: userToken,
  }).then(
    () => 'accepted',
    (error: Error) => error.message,
  );
  narrator.prove('a task wider than its template is refused, not clipped', widened.includes('write'));

  const agent = await startAgent({
    gateway: gateway.ready.url,
    keyFile: estate.agentKey,
    declare,
    subjectToken: userToken,
  });
  const token = await agent.session.token();
  const claims = decodeJwt(token);
  const header = decodeProtectedHeader(token);
  narrator.say('why', `“${agent.session.granted.purpose}”, task ${agent.session.granted.task}`);
  narrator.prove(
    `the task token is ES256 (${header.typ}), for ${(claims.exp as number) - (claims.iat as number)} s`,
    header.alg === 'ES256' && (claims.exp as number) - (claims.iat as number) <= 600,
  );
  narrator.prove(
    `sub is the user (${claims.sub}), act.sub the agent`,
    claims.sub === USER && (claims.act as { sub?: string }).sub === 'shop-helper',
  );
  narrator.prove(`its only audience is the gateway (${claims.aud})`, claims.aud === agent.session.mcpUrl);
  return agent;
}

async function discover({ narrator }: Story, agent: DemoAgent): Promise<void> {
  narrator.beat('Discovery is not authorisation');
  const listed = await agent.client.listTools();
  const names = listed.tools.map((tool) => tool.name).sort();
  const withheld = listed._meta?.['io.remit/withheld'] as { undescribed: number; withheld: number };
  narrator.say('what', `tools/list shows ${names.join(', ')}`);
  narrator.prove(
    'exactly the task’s four described tools',
    names.join() === 'crm__get_customer,files__list_directory,files__read_text_file,shop_db__query',
  );
  narrator.prove(
    `${withheld.undescribed} tools that nobody has described are counted and not shown, ${withheld.withheld} described one is outside this task`,
    withheld.undescribed >= 10 && withheld.withheld === 1,
  );
  const undescribed = await agent.call('crm__delete_customer', { id: '1' });
  narrator.prove(
    'calling one of them by name is denied (remit:undescribed)',
    undescribed.isError === true && textOf(undescribed).includes('remit:undescribed'),
  );
}

interface Child {
  readonly pid: number;
  readonly role: string;
}

async function readOrders({ narrator, estate, gateway }: Story, agent: DemoAgent): Promise<Child> {
  narrator.beat('A read, with a credential made for this task');
  narrator.prove(
    'before the first call the database has no remit_ role but the administrator',
    (await leasedRoles(estate)).length === 0,
  );
  const result = await agent.call('shop_db__query', {
    sql: 'SELECT id, item FROM orders WHERE customer = 1 ORDER BY id',
  });
  narrator.say('what', `shop_db/query → ${textOf(result).replace(/\s+/g, ' ')}`);
  narrator.prove('the orders came back', !result.isError && textOf(result).includes('chair'));
  const roles = await leasedRoles(estate);
  narrator.prove(
    `the database has one leased role, ${roles[0]?.name}, valid until ${roles[0]?.until}`,
    roles.length === 1 && roles[0]?.until,
  );
  const grants = await estate.admin.query(
    `SELECT table_schema || '.' || table_name || ' ' || privilege_type AS grant FROM information_schema.role_table_grants WHERE grantee = $1`,
    [roles[0]?.name],
  );
  narrator.prove(
    `it may do exactly this: ${grants.rows.map((row) => row.grant).join()}`,
    grants.rows.map((row) => row.grant).join() === 'public.orders SELECT',
  );

  const processes = commandLines();
  const server = [...processes].filter(
    ([, line]) => line.includes('server-postgres/dist') && !line.startsWith('setpriv') && !line.startsWith('unshare'),
  );
  const [pid] = server
    .map(([candidate]) => candidate)
    .filter((candidate) => environmentOf(candidate, 'PGPASSWORD') !== undefined);
  const password = pid === undefined ? undefined : environmentOf(pid, 'PGPASSWORD');
  if (pid === undefined || password === undefined)
    throw new Error('the server’s process with a leased credential was not found');
  narrator.prove(
    `the server (pid ${pid}) has the credential in its environment`,
    environmentOf(pid, 'PGUSER') === roles[0]?.name,
  );
  narrator.prove(
    'no process has it in its arguments',
    ![...processes.values()].some((line) => line.includes(password)),
  );
  narrator.prove(
    'nothing that the agent received contains it, nor does the gateway’s output',
    !agent.received().includes(password) && !gateway.output().includes(password),
  );
  return { pid, role: roles[0]?.name as string };
}

async function breakReadOnly({ narrator, estate }: Story, agent: DemoAgent): Promise<void> {
  narrator.beat('The server’s own “read-only” is broken; the leased role is not');
  const countOrders = async (): Promise<number> =>
    Number((await estate.admin.query('SELECT count(*) FROM orders')).rows[0].count);
  const before = await countOrders();
  narrator.say('what', BREAK_OUT);
  await callDirectly(estate, BREAK_OUT);
  const direct = await countOrders();
  narrator.prove('run directly with an ordinary account, the “read-only” server inserted a row', direct === before + 1);
  const governed = await agent
    .call('shop_db__query', { sql: BREAK_OUT.replace('99', '98') })
    .catch((error: Error) => failure(error));
  narrator.say('what', `through Remit → ${textOf(governed).slice(0, 120)}`);
  narrator.prove('through Remit PostgreSQL refuses it: permission denied', /permission denied/.test(textOf(governed)));
  narrator.prove('and no row was added', (await countOrders()) === direct);
  const other = await agent
    .call('shop_db__query', { sql: 'SELECT * FROM payroll' })
    .catch((error: Error) => failure(error));
  narrator.prove('a table that the task does not name is refused just so', /permission denied/.test(textOf(other)));
}

async function stayWithinTask({ narrator, estate }: Story, agent: DemoAgent): Promise<void> {
  narrator.beat('Outside the declared task, and against a policy');
  const outside = await agent.call('files__write_file', { path: join(estate.files, 'shared', 'x'), content: 'x' });
  narrator.say('what', textOf(outside));
  narrator.prove(
    'a tool outside the task: isError, reason, policy id, next step',
    outside.isError === true && /remit:task-/.test(textOf(outside)) && textOf(outside).includes('Next step:'),
  );
  const allowed = await agent.call('files__read_text_file', {
    path: join(estate.files, 'shared', 'returns-policy.md'),
  });
  narrator.prove('a file in the shared folder can be read', !allowed.isError && textOf(allowed).includes('30 days'));
  const against = await agent.call('files__read_text_file', { path: join(estate.files, 'private', 'salaries.csv') });
  narrator.say('what', textOf(against));
  narrator.prove(
    'a path that the policy forbids is denied by policy files-only-shared',
    against.isError === true && textOf(against).includes('files-only-shared') && !textOf(against).includes('90000'),
  );
  const tricky = await agent.call('files__read_text_file', { path: `${estate.files}/shared/../private/salaries.csv` });
  narrator.prove(
    'and so is the same file by way of “..”',
    tricky.isError === true && !textOf(tricky).includes('90000'),
  );
}

async function useStaticToken({ narrator, estate, gateway }: Story, agent: DemoAgent): Promise<void> {
  narrator.beat('A server that knows only a static token');
  const bare = await fetch(estate.crm.url, {
    method: 'POST',
    body: '{}',
    headers: { authorization: `Bearer ${await agent.session.token()}` },
  });
  narrator.prove('fake-crm refuses the agent’s own token (401)', bare.status === 401);
  const before = estate.crm.accepted();
  const result = await agent.call('crm__get_customer', { id: '1' });
  narrator.say('what', `crm/get_customer → ${textOf(result)}`);
  narrator.prove(
    'through Remit the call is served: the vault’s token was put in at forward time',
    !result.isError && textOf(result).includes('Amara') && estate.crm.accepted() > before,
  );
  const leases = JSON.parse((await runRemit(['lease', 'ls', '--json', '--config', estate.config])).stdout) as {
    connector: string;
    scope: string;
    revocation: string;
    state: string;
  }[];
  const lease = leases.find((entry) => entry.connector === 'crm' && entry.state === 'active');
  narrator.say('why', lease?.scope ?? '(no lease)');
  narrator.prove(
    'it shows as what it is: a static secret under an exception with owner and end',
    lease?.revocation === 'expiry_only' && /exception of erin@shop.example until \d{4}/.test(lease.scope),
  );
  const database = await readFile(join(estate.folder, '.remit', 'remit.db'), 'latin1');
  const journal = await readFile(join(estate.folder, '.remit', 'journal', '00000000.log'), 'latin1');
  narrator.prove(
    'the token is in nothing the agent received, nor in the output, the store, the journal or any argument list',
    ![agent.received(), gateway.output(), database, journal, ...commandLines().values()].some((text) =>
      text.includes(estate.crmToken),
    ),
  );
}

async function endTask({ narrator, estate }: Story, agent: DemoAgent, child: Child): Promise<void> {
  narrator.beat('The task ends, and all of it ends');
  const token = await agent.session.token();
  const body = JSON.stringify({
    jsonrpc: '2.0',
    id: 7,
    method: 'tools/call',
    params: { name: 'shop_db__query', arguments: { sql: 'SELECT 1' } },
  });
  const replay = (): Promise<Response> =>
    fetch(agent.session.mcpUrl, {
      method: 'POST',
      body,
      headers: {
        'content-type': 'application/json',
        accept: 'application/json, text/event-stream',
        authorization: `Bearer ${token}`,
      },
    });
  narrator.prove('a moment before, this very request is served', (await replay()).status === 200);
  await agent.session.end();
  narrator.prove(`${child.role} is gone from pg_roles`, (await leasedRoles(estate)).length === 0);
  const sessions = await estate.admin.query('SELECT count(*) FROM pg_stat_activity WHERE usename = $1', [child.role]);
  narrator.prove('its sessions are terminated', sessions.rows[0].count === '0');
  narrator.prove(`the server’s process ${child.pid} is gone`, !isAlive(child.pid));
  const replayed = await replay();
  narrator.prove(
    'the same request again: 401, the task has ended',
    replayed.status === 401 && (await replayed.text()).includes('has ended'),
  );
  const refreshed = await agent.session.refresh().then(
    () => 'a token',
    (error: Error) => error.message,
  );
  narrator.prove('and no new token is to be had for it', refreshed !== 'a token');
}

async function verifyAudit({ narrator, estate }: Story): Promise<void> {
  narrator.beat('The trail is whole, and shows where it is not');
  const journal = join(estate.folder, '.remit', 'journal');
  const verified = await runRemit(['audit', 'verify', '--config', estate.config]);
  narrator.say('what', verified.stdout.trim());
  const copy = join(estate.folder, 'journal-copy');
  await cp(journal, copy, { recursive: true });
  const log = join(copy, '00000000.log');
  const bytes = await readFile(log);
  // Behind the records there is room for more, which is zeros.
  const end = bytes.findLastIndex((byte) => byte !== 0);
  const middle = Math.floor((4096 + end) / 2);
  bytes[middle] = (bytes[middle] as number) ^ 1;
  await writeFile(log, bytes);
  const failed = await runRemit(['audit', 'verify', '--folder', copy], undefined, 7);
  narrator.say('what', failed.stderr.trim());
  narrator.prove(
    `one flipped byte (at ${middle}) in a copy is found and located`,
    /record \d+/.test(failed.stderr) && failed.stderr.includes('00000000.log'),
  );
}

async function askWhoCan({ narrator, estate, gateway, userToken }: Story): Promise<void> {
  narrator.beat('Who can do what, for how long, under which business intent?');
  const agent = await startAgent({
    gateway: gateway.ready.url,
    keyFile: estate.agentKey,
    declare: {
      template: 'order-support',
      purpose: 'Refund question of customer 2',
      budget: { calls: 5 },
      duration_seconds: 120,
    },
    subjectToken: userToken,
  });
  await agent.call('shop_db__query', { sql: 'SELECT count(*) FROM orders' });
  const human = await runRemit(['who-can', '--tool', 'shop_db/query', '--config', estate.config]);
  narrator.say('what', human.stdout.trim());
  const answer = JSON.parse(
    (await runRemit(['who-can', '--tool', 'shop_db/query', '--json', '--config', estate.config])).stdout,
  ) as Access[];
  await agent.session.end();
  await agent.close();
  const live = answer.filter((access) => access.kind === 'live');
  narrator.prove(
    'one live access: shop-helper for alice, read public.orders, until its task ends, for the refund question',
    live.length === 1 &&
      live[0]?.agent === 'shop-helper' &&
      live[0].user?.endsWith(`#${USER}`) === true &&
      live[0].resources.join() === 'shop_db:public.orders' &&
      live[0].purpose === 'Refund question of customer 2' &&
      live[0].credentials.length === 1 &&
      Date.parse(live[0].until) - Date.now() < 121_000,
  );
  narrator.prove(
    'one standing grant behind it, approved by dana',
    answer.filter((access) => access.kind === 'standing' && access.approvedBy === 'dana@shop.example').length === 1,
  );
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    process.stderr.write(`\ndemo failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
    process.exit(1);
  },
);

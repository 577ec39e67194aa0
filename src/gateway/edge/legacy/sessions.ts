import type { AgentId, ConnectorId, RandomBytes, TaskId } from '../../../domain/ids.ts';
import type { JsonObject } from '../../../domain/json.ts';
import type { Principal } from '../../../domain/principal.ts';
import type { Clock, Schedule } from '../../../seams/clock.ts';
import type { Hub } from '../../events/hub.ts';
import { Budget } from './event-log.ts';
import type { QuestionLimits } from './questions.ts';
import { Session } from './session.ts';

export interface SessionLimits {
  /** Milliseconds without a request and without an open stream, after which a session is forgotten (fault 17). */
  readonly idleMs: number;
  readonly perTask: number;
  readonly perAgent: number;
  readonly overall: number;
  /** Characters of events that are kept for clients that come back: of one session, one agent, all. */
  readonly keptPerSession: number;
  readonly keptPerAgent: number;
  readonly keptOverall: number;
  readonly questions: QuestionLimits;
}

export const SESSION_LIMITS: SessionLimits = {
  idleMs: 30 * 60_000,
  perTask: 32,
  perAgent: 256,
  overall: 10_000,
  keptPerSession: 1024 * 1024,
  keptPerAgent: 16 * 1024 * 1024,
  keptOverall: 64 * 1024 * 1024,
  questions: { most: 16, timeoutMs: 600_000 },
};

export interface SessionsOptions {
  readonly hub: Pick<Hub, 'add' | 'changed'>;
  readonly clock: Clock;
  readonly schedule: Schedule;
  readonly random: RandomBytes;
  readonly limits: SessionLimits;
}

export interface NewSession {
  readonly principal: Principal;
  readonly scope: ConnectorId | undefined;
  readonly protocolVersion: string;
  readonly capabilities: JsonObject;
}

/** No session could be made: every one that there may be is in use (faults 19, 20). */
export interface AllBusy {
  readonly busy: string;
  readonly status: 429 | 503;
}

/** Looks at every session so many times within the time after which an idle one is forgotten. */
const SWEEPS = 10;

interface AgentSessions {
  readonly sessions: Set<Session>;
  readonly budget: Budget;
}

/** Every legacy session, in memory only: after a restart each is unknown, and its client initialises again (fault 12). */
export class Sessions {
  readonly hub: Pick<Hub, 'add' | 'changed'>;
  readonly clock: Clock;
  readonly schedule: Schedule;
  readonly random: RandomBytes;
  readonly limits: SessionLimits;
  isDraining = false;
  readonly #byId = new Map<string, Session>();
  readonly #byTask = new Map<TaskId, Set<Session>>();
  readonly #byAgent = new Map<AgentId, AgentSessions>();
  readonly #budget: Budget;
  #uses = 0;
  /** What `#uses` was at the last sweeps. Idle time is counted in sweeps: a wall clock may jump (fault 8). */
  #marks: number[] = [];
  #isSweeping = false;

  constructor(options: SessionsOptions) {
    this.hub = options.hub;
    this.clock = options.clock;
    this.schedule = options.schedule;
    this.random = options.random;
    this.limits = options.limits;
    this.#budget = new Budget(options.limits.keptOverall);
  }

  get size(): number {
    return this.#byId.size;
  }

  create(of: NewSession): Session | AllBusy {
    const { task, agent } = of.principal;
    const { perTask, perAgent, overall } = this.limits;
    const full =
      this.#makeRoom(this.#byTask.get(task), perTask, `${perTask} sessions of this task`, 429) ??
      this.#makeRoom(this.#byAgent.get(agent)?.sessions, perAgent, `${perAgent} sessions of this agent`, 429) ??
      this.#makeRoom(this.#byId, overall, `${overall} sessions of this gateway`, 503);
    if (full !== undefined) return full;
    // 128 random bits, visible ASCII (attack A16).
    const id = Buffer.from(this.random(16)).toString('base64url');
    const session = new Session({ ...of, id }, this);
    this.#byId.set(id, session);
    const ofTask = this.#byTask.get(task);
    if (ofTask === undefined) this.#byTask.set(task, new Set([session]));
    else ofTask.add(session);
    this.#agent(agent).sessions.add(session);
    this.touch(session);
    this.#startSweeping();
    return session;
  }

  /** The session of that id, whoever's it is. */
  find(id: string): Session | undefined {
    return this.#byId.get(id);
  }

  touch(session: Session): void {
    this.#uses += 1;
    session.usedAt = this.#uses;
  }

  /** Memory for kept events of a session, within its agent's share. */
  budgetOf(session: Session): Budget {
    return new Budget(this.limits.keptPerSession, this.#agent(session.principal.agent).budget);
  }

  end(session: Session, reason: string): void {
    const { task, agent } = session.principal;
    if (!this.#byId.delete(session.id)) return;
    const ofTask = this.#byTask.get(task);
    ofTask?.delete(session);
    if (ofTask?.size === 0) this.#byTask.delete(task);
    session.end(reason);
    const ofAgent = this.#byAgent.get(agent);
    ofAgent?.sessions.delete(session);
    if (ofAgent?.sessions.size === 0) this.#byAgent.delete(agent);
  }

  endTask(task: TaskId): void {
    for (const session of [...(this.#byTask.get(task) ?? [])]) this.end(session, 'the task has ended');
  }

  closeStreams(): void {
    for (const session of this.#byId.values()) session.close();
  }

  /** No session is made any more, GET streams close; calls under way may finish. */
  drain(): void {
    this.isDraining = true;
    for (const session of this.#byId.values()) {
      session.close();
      session.abandon();
    }
  }

  /** At the cap, the one that has been idle longest makes room (fault 17: most clients never say that they are done). */
  #makeRoom(
    among: { readonly size: number; values(): Iterable<Session> } | undefined,
    most: number,
    what: string,
    status: AllBusy['status'],
  ): AllBusy | undefined {
    if (among === undefined || among.size < most) return undefined;
    let idlest: Session | undefined;
    for (const session of among.values()) {
      if (!session.isBusy && (idlest === undefined || session.usedAt < idlest.usedAt)) idlest = session;
    }
    if (idlest === undefined) return { busy: `all ${what} are in use: end one, or try again later`, status };
    this.end(idlest, 'another session took its place');
    return undefined;
  }

  #agent(agent: AgentId): AgentSessions {
    let known = this.#byAgent.get(agent);
    if (known === undefined) {
      known = { sessions: new Set(), budget: new Budget(this.limits.keptPerAgent, this.#budget) };
      this.#byAgent.set(agent, known);
    }
    return known;
  }

  #startSweeping(): void {
    if (this.#isSweeping) return;
    this.#isSweeping = true;
    this.schedule(this.limits.idleMs / SWEEPS, this.#sweep);
  }

  readonly #sweep = (): void => {
    this.#isSweeping = false;
    this.#marks.push(this.#uses);
    const idleSince = this.#marks.length > SWEEPS ? (this.#marks.shift() as number) : 0;
    for (const session of [...this.#byId.values()]) {
      if (session.isBusy) this.touch(session);
      else if (session.usedAt <= idleSince) {
        this.end(session, 'the session was idle for too long');
        continue;
      }
      session.sweep();
    }
    if (this.#byId.size > 0) this.#startSweeping();
    else this.#marks = [];
  };
}

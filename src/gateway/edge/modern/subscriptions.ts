import { RPC } from '../../../domain/era.ts';
import type { TaskId } from '../../../domain/ids.ts';
import { isRefused } from '../../../domain/refusal.ts';
import { acceptsStream } from '../accepts.ts';
import type { Exchange } from '../exchange.ts';
import { errorAnswer } from '../render.ts';
import { createReply, type ReplyOptions } from '../reply.ts';
import { sendAnswer } from '../send-answer.ts';
import { serverInfo } from './discover.ts';
import { type ListenFilter, ListenStream, offeredPart, readFilter } from './listen-stream.ts';
import type { ModernParts } from './modern-parts.ts';
import { ModernRequest } from './modern-request.ts';
import type { Envelope } from './read-envelope.ts';

/** Streams that one task may have open (guarantee I3). */
const DEFAULT_STREAMS = 8;

interface OpenStream {
  stream: ListenStream | undefined;
}

/** The `subscriptions/listen` streams of all tasks. */
export interface Subscriptions {
  listen(exchange: Exchange, id: string | number, params: ModernRequest['params'], envelope: Envelope): Promise<void>;
  endTask(task: TaskId): void;
  closeAll(): void;
}

export function createSubscriptions(parts: ModernParts, withStream: ReplyOptions): Subscriptions {
  const { gateway, streamsPerTask: mostStreams = DEFAULT_STREAMS } = parts;
  const open = new Map<TaskId, Set<OpenStream>>();

  function take(task: TaskId): OpenStream | undefined {
    let streams = open.get(task);
    if (streams === undefined) {
      streams = new Set();
      open.set(task, streams);
    }
    if (streams.size >= mostStreams) return undefined;
    const place: OpenStream = { stream: undefined };
    streams.add(place);
    return place;
  }

  function giveBack(task: TaskId, place: OpenStream): void {
    const streams = open.get(task);
    if (streams?.delete(place) === true && streams.size === 0) open.delete(task);
  }

  /** Hearing that a resource changes is decided as a legacy `resources/subscribe` of it is, and recorded; what is refused is not honoured. */
  async function permitted(exchange: Exchange, id: string | number, envelope: Envelope, wanted: ListenFilter) {
    const resources = new Set<string>();
    for (const uri of wanted.resources) {
      const request = new ModernRequest(id, 'resources/subscribe', { uri }, exchange.scope, envelope, undefined);
      const { reply, recordOutcome } = await parts.handleMethod(gateway, exchange.caller, request);
      recordOutcome?.();
      if (!isRefused(reply) && !('error' in reply)) resources.add(uri);
    }
    return { ...wanted, resources };
  }

  return {
    async listen(exchange, id, params, envelope) {
      const { response, caller, scope } = exchange;
      const refuse = (status: number, code: number, reason: string): void =>
        sendAnswer(response, errorAnswer(status, id, code, reason));
      if (!acceptsStream(exchange.request.headers.accept)) {
        return refuse(
          406,
          RPC.invalidRequest,
          'subscriptions/listen is answered by a stream: Accept text/event-stream',
        );
      }
      const asked = readFilter(params.notifications);
      if ('problem' in asked) return refuse(200, RPC.invalidParams, asked.problem);
      const task = caller.task.id;
      const place = take(task);
      if (place === undefined) {
        return refuse(200, RPC.notServed, `a task may have ${mostStreams} subscriptions open, and has`);
      }
      // Set before anything is waited for, so that nothing is opened for a client that has gone, and no place is lost.
      let hasGone = response.destroyed;
      let leave = (): void => {};
      response.once('close', () => {
        hasGone = true;
        leave();
        giveBack(task, place);
      });
      try {
        const { capabilities } = await parts.offer(gateway, caller, scope);
        const filter = await permitted(exchange, id, envelope, offeredPart(asked, capabilities));
        if (hasGone || gateway.tasks.get(task) === undefined || open.get(task)?.has(place) !== true) {
          giveBack(task, place);
          return refuse(200, RPC.notServed, `task ${task} has ended or is suspended, or the gateway stops`);
        }
        const reply = createReply(response, withStream);
        const stream = new ListenStream({ task, scope, id }, filter, reply, serverInfo(parts.version));
        place.stream = stream;
        stream.acknowledge();
        // Nothing to wait for: the client sees by the acknowledgement that none of it is offered.
        if (filter.lists.size + filter.resources.size + filter.mcpTasks.size === 0) return stream.close();
        const remove = gateway.hub.add(stream);
        // No stream outlives the token that it was opened with; its client comes back with a fresh one.
        const life = caller.principal.tokenExpiresAt - gateway.clock();
        const keep = gateway.schedule(life, () => stream.close());
        leave = () => {
          remove();
          keep();
        };
      } catch (error) {
        giveBack(task, place);
        place.stream?.close();
        throw error;
      }
    },

    endTask(task) {
      const streams = open.get(task);
      open.delete(task);
      for (const { stream } of streams ?? []) stream?.close();
    },

    closeAll() {
      for (const task of [...open.keys()]) this.endTask(task);
    },
  };
}

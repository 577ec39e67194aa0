export interface FakeMessage {
  readonly id?: unknown;
  readonly method?: string;
  readonly params?: unknown;
}

export interface FakeSession {
  readonly received: FakeMessage[];
  readonly credential: string | undefined;
  readonly version: string;
  readonly answers: Map<unknown, FakeMessage>;
  onAnswer?: () => void;
  outside?: (text: string) => void;
}

export function behave(message: FakeMessage, session: FakeSession, send: (text: string) => void): void;

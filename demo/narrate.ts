import pc from 'picocolors';

/** Prints the story: a heading a beat, then who, what, why and the proof. A proof that does not hold ends the demo with exit code 1. */
export interface Narrator {
  beat(title: string): void;
  say(label: 'who' | 'what' | 'why' | 'note', text: string): void;
  /** Checks a claim; prints it when it holds and throws when it does not. */
  prove(claim: string, holds: unknown): void;
  readonly beats: number;
  readonly proofs: number;
}

export class ConsoleNarrator implements Narrator {
  beats = 0;
  proofs = 0;

  beat(title: string): void {
    this.beats += 1;
    process.stdout.write(`\n${pc.bold(`${this.beats}. ${title}`)}\n`);
  }

  say(label: string, text: string): void {
    const [first = '', ...more] = text.split('\n');
    process.stdout.write(`   ${pc.dim(label.padEnd(5))} ${first}\n`);
    for (const line of more) process.stdout.write(`         ${line}\n`);
  }

  prove(claim: string, holds: unknown): void {
    if (!holds) throw new Error(`beat ${this.beats}: not so: ${claim}`);
    this.proofs += 1;
    process.stdout.write(`   ${pc.green('proof')} ${claim}\n`);
  }
}

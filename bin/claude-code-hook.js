#!/usr/bin/env node
// The UserPromptSubmit hook that `remit hook claude-code` prints the settings for: FOLDER AGENT [--text]. It loads next to nothing, as it runs
// before each prompt, and it never holds one up: whatever goes wrong, it prints nothing on standard output and exits with 0.
import { existsSync } from 'node:fs';

const main = new URL('../dist/src/agent/claude-code-hook.js', import.meta.url);
try {
  const [folder, agent, text] = process.argv.slice(2);
  if (folder !== undefined && agent !== undefined && existsSync(main)) {
    const { noteClaudeCodePrompt } = await import(main.href);
    process.stdin.setEncoding('utf8');
    let input = '';
    for await (const chunk of process.stdin) input += chunk;
    await noteClaudeCodePrompt(input, { folder, agent, isTextSent: text === '--text', pid: process.pid });
  }
} catch {
  // The prompt goes on without a record of it: the decision records then name no prompt, which shows.
}
process.exit(0);

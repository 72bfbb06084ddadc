#!/bin/sh
# Schema-driven fuzz run against a running bridge: tools/fuzz-api.sh http://127.0.0.1:7860
# Needs Python; schemathesis goes into a virtual environment below the temporary folder. The only 5xx that
# the API documents are 501 (no meaning here) and 503 (no engine); they are excluded from "server error".
set -eu
url=${1:-http://127.0.0.1:7860}
venv=${TMPDIR:-/tmp}/easel-fuzz
[ -x "$venv/bin/st" ] || { python3 -m venv "$venv" && "$venv/bin/pip" -q install 'schemathesis>=4,<5'; }
config=$(mktemp)
trap 'rm -f "$config"' EXIT
cat > "$config" <<'TOML'
continue-on-failure = true
request-timeout = 60
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", 501, 503]
TOML
"$venv/bin/st" --config-file "$config" run "$url/openapi.json" --url "$url" --max-examples 60 --phases examples,coverage,fuzzing \
  --checks not_a_server_error,response_schema_conformance,content_type_conformance,status_code_conformance

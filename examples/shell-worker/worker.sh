#!/usr/bin/env bash
# A JobForge worker of bash, curl and jq. It runs one job at a time, by the program in handlers/ that is named as its type.
#   JOBFORGE_URL, JOBFORGE_TOKEN   the server, and what it asks for
#   JOBFORGE_QUEUES                the queue to take from (default)
#   SHUTDOWN_GRACE_MS              after SIGTERM, how long a job may go on (30000)
set -um # m: whatever runs beside has a process group, and can be ended with all that it has started
: "${JOBFORGE_URL:?set it to the URL of the server}" "${JOBFORGE_QUEUES:=default}" "${SHUTDOWN_GRACE_MS:=30000}"
handlers=$(cd "$(dirname "$0")/handlers" && pwd) dir=$(mktemp -d) stopping='' unheard=''
takes=$(find -L "$handlers" -type f -printf '%f\n' | jq -Rnc --arg q "$JOBFORGE_QUEUES" '[$q, [inputs]]')
trap 'rm -rf "$dir"' EXIT
trap 'stopping=1; touch "$dir/stopping"' TERM INT
trap : USR1 # from beat: ends the waiting
# In a file, for arguments can be read by every user of the machine.
printf '%s\n' "Authorization: Bearer ${JOBFORGE_TOKEN-}" 'Content-Type: application/json' 'JobForge-Protocol: 1' >"$dir/headers"

say() { printf '%s %s\n' "$worker" "$*" >&2; }
now() { read -r now _ </proc/uptime && now=$((${now/./} * 10)); } # not the wall clock, which may be set
seconds() { printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000)); }

# One request: ask CALL MAX_MS FILE, with the body on standard input. 1 is a refusal, 2 is no answer.
ask() {
  case $(curl -s -o "$3" -w '%{http_code}' --max-time "$(seconds "$2")" -H @"$dir/headers" --data-binary @- "$JOBFORGE_URL/v1/worker/$1") in
    2??) ;;
    408 | 429) return 2 ;;
    4??) say "$1 was refused: $(<"$3")"; return 1 ;;
    *) return 2 ;;
  esac
}

register() {
  worker=worker-$(od -An -N4 -tx1 /dev/urandom | tr -d ' \n')
  jq -nc --arg w "$worker" --argjson t "$takes" --arg h "$HOSTNAME" --argjson p $$ >"$dir/me" \
    '{worker_id: $w, queues: [$t[0]], types: $t[1], slots: 1, host: $h, pid: $p, sdk: "shell-worker"}'
  claim=$(jq -c '{worker_id, queues: [{name: .queues[0], max: 1}], types}' "$dir/me")
  until ask register 15000 "$dir/rhythm" <"$dir/me"; do
    [ $? -ne 1 ] && [ -z "$stopping" ] || return 1
    sleep 0.5
  done
  read -r lease_ms beat_ms wait_ms < <(jq -r '"\(.lease_ms) \([.renew_ms, .heartbeat.interval_ms] | min) \(.poll.wait_ms)"' "$dir/rhythm")
  say "takes jobs from queue $JOBFORGE_QUEUES"
}

# Ends the handler of the job in a directory; run reads why.
end() { { echo "$2" >"$1/why" && kill -- "-$(<"$1/pid")" && sleep 3 && kill -9 -- "-$(<"$1/pid")"; } 2>/dev/null; }

# Runs beside: renews the lease, gives the job's signs of life, and ends its handler when it must stop.
beat() {
  local heard at id fence report job mode live state restart
  now && heard=$now
  while sleep "$(seconds "$beat_ms")" && kill -0 $$; do
    at=$(echo "$dir"/job-*) id='' job='' report='' mode=run live='' state=kept
    [ ! -e "$dir/stopping" ] || mode=draining
    [ ! -s "$at/report" ] || report=$(<"$at/report")
    [ ! -e "$at/job" ] || read -r id fence <"$at/job" && [ -n "$id" ] && job="{\"id\": \"$id\", \"fence\": $fence ${report:+, \"report\": $report}}"
    now && sent=$now
    if ask heartbeat $((lease_ms / 2)) "$dir/beat" <<<"{\"worker_id\": \"$worker\", \"state\": \"$mode\", \"jobs\": [$job]}"; then
      heard=$sent
      read -r live state restart < <(jq -r '"\(.worker) \(.jobs[0].state // "kept") \(.restart // false)"' "$dir/beat")
    fi
    # Others may run our jobs from the lease's end on, so a fifth before it they must be over here.
    now && [ $((now - heard)) -lt $((lease_ms * 4 / 5)) ] || live=lost
    [ "$live" != lost ] || { touch "$dir/lost"; end "$(echo "$dir"/job-*)" lost & kill -USR1 $$; return; }
    [ "${restart-}" != true ] || { touch "$dir/restart" && kill -USR1 $$; }
    [ "$state" = kept ] || end "$at" "$state" &
  done
}

run() { # ID FENCE TYPE ATTEMPT TIMEOUT_MS CHECKPOINT PAYLOAD
  local at=$dir/job-$1.$2 code=0 handler timers=() why=''
  mkdir "$at" && echo "$1 $2" >"$at/.job" && mv "$at/.job" "$at/job"
  JOB_ID=$1 JOB_FENCE=$2 JOB_ATTEMPT=$4 JOB_CHECKPOINT=$6 JOB_REPORT=$at/report "$handlers/$3" <<<"$7" >"$at/out" 2>"$at/err" &
  handler=$! && echo "$handler" >"$at/pid"
  [ "$5" = null ] || { { sleep "$(seconds "$5")" && end "$at" timeout; } & timers+=("$!"); }
  while # a signal ends the waiting, not the job
    [ ! -e "$dir/lost" ] || end "$at" lost &
    [ -z "$stopping" ] || { { sleep "$(seconds "$SHUTDOWN_GRACE_MS")" && end "$at" released; } & timers+=("$!"); }
    code=0 && wait "$handler" || code=$?
    kill -0 "$handler" 2>/dev/null
  do :; done
  for timer in "${timers[@]}"; do kill -- "-$timer" 2>/dev/null; done
  [ ! -e "$at/why" ] || why=$(<"$at/why")
  jq -nc --arg w "$worker" --arg id "$1" --argjson fence "$2" --argjson code "$code" --arg why "$why" --rawfile out "$at/out" \
    --rawfile err "$at/err" --argjson r "$([ -s "$at/report" ] && cat "$at/report" || echo null)" >"$at/result" '
    (try ($out | fromjson) catch $out) as $said
    | if $why == "released" then {outcome: $why}
      elif $why == "timeout" then {outcome: "retry", error: {kind: $why, message: "it took too long"}}
      elif $code == 0 then {outcome: "succeeded", result: $said}
      elif ($said | type) == "object" and $said.outcome then $said
      else {outcome: "retry", error: {kind: "exit_code", message: "exit code \($code): \($err[-1000:])"}} end
    | {worker_id: $w, results: [{id: $id, fence: $fence} + . + if $r then {report: $r} else {} end]}'
  case $why in
    canceled | lost | gone) say "stopped job $1, which is not ours any more" ;;
    *) # Until it is answered: the work is done, and must not be done again for want of an answer.
      until ask results 15000 "$at/answer" <"$at/result" || [ $? -eq 1 ]; do sleep 0.5; done ;;
  esac
  rm -rf "$at"
}

while [ -z "$stopping" ] && register; do
  rm -f "$dir/lost"
  beat & beater=$!
  while [ -z "$stopping" ] && [ ! -e "$dir/lost" ] && [ ! -e "$dir/restart" ]; do
    ask claim $((wait_ms + 15000)) "$dir/claimed" <<<"${claim%\}}, \"wait_ms\": $wait_ms ${unheard:+, \"held\": []}}" & claimer=$!
    if wait "$claimer" || { kill -- "-$claimer" 2>/dev/null; wait "$claimer"; }; then
      unheard=''
      mapfile -t job < <(jq -r '.jobs[0] // empty | .id, .fence, .type, .attempt, (.timeout_ms, .checkpoint, .payload | tojson)' "$dir/claimed")
      [ ${#job[@]} -eq 0 ] || run "${job[@]}"
    else # what it gave may not have arrived: held asks for it again
      unheard=1 && sleep 0.1
    fi
  done
  kill -- "-$beater" 2>/dev/null
  [ -e "$dir/lost" ] || for _ in 1 2 3 4 5; do ask leave 5000 "$dir/left" <<<"{\"worker_id\": \"$worker\"}" && break || sleep 0.5; done
  [ -n "$stopping" ] || [ ! -e "$dir/restart" ] || { rm -rf "$dir" && exec "$BASH" "$0"; }
done
[ -n "$stopping" ] # anything else is a failure

#!/bin/sh
# A JobForge worker in nothing but a shell and psql: takes one job at a time, keeps it alive, reports how it ended.
#
#   DATABASE_URL  where the queue is
#   HANDLER       called with type and payload; prints the result, or says on stderr why it failed (./handle.sh)
#   QUEUE         the queue to take from (default)
#   TYPES         types to take, as a PostgreSQL array: {mail.send,text.shout}; empty is all ({text.shout})
#   LEASE_S       silence after which others get its job (30)
#   BEAT_S        seconds between two heartbeats (LEASE_S / 4)
#   POLL_S        seconds between two looks for work (2)
set -u
: "${DATABASE_URL:?set it to the URL of the queue\'s database}"
: "${HANDLER:=$(dirname "$0")/handle.sh}" "${QUEUE:=default}" "${TYPES={text.shout\}}" "${LEASE_S:=30}" "${POLL_S:=2}"
: "${BEAT_S:=$((LEASE_S / 4 + 1))}"

# Statements come from standard input, values by -v: psql quotes them.
sql() { psql --no-psqlrc --quiet --no-align --tuples-only --field-separator="$(printf '\t')" -v ON_ERROR_STOP=1 "$@" "$DATABASE_URL"; }
say() { printf '%s %s\n' "$worker" "$*" >&2; }
# Never from the host name or a process number: those repeat, and a repeated id could end another's jobs.
new_id() { worker=worker-$(od -An -N4 -tx1 /dev/urandom | tr -d ' \n'); }

claim() {
  sql -v worker="$worker" -v queue="$QUEUE" -v types="$TYPES" -v lease_s="$LEASE_S" <<'SQL'
SELECT id, lease, type, payload
FROM jobforge_claim_jobs(:'worker', 1, ARRAY[:'queue'], nullif(:'types', '')::text[], :lease_s);
SQL
}

# Beats until the worker is gone, even if it was killed; stops the handler when the job is not ours any more.
beat() {
  while sleep "$BEAT_S" </dev/null >/dev/null 2>&1; do
    kill -0 $$ 2>/dev/null || exit 0
    sql -v worker="$worker" -v id="$id" -v lease="$lease" >/dev/null <<'SQL' && continue
SELECT jobforge_heartbeat_job(:'id', :'worker', :lease);
SQL
    # No answer is no refusal: psql says 3 for an error of the statement, 2 for a broken connection.
    [ $? -eq 3 ] || continue
    say "lost job $id; stopping its handler"
    kill "$1" 2>/dev/null
    exit 0
  done
}

run() {
  say "runs job $id ($type)"
  "$HANDLER" "$type" "$payload" </dev/null >"$scratch/out" 2>"$scratch/err" &
  handler=$!
  beat "$handler" &
  beater=$!
  # A signal ends the waiting, not the job.
  code=0
  wait "$handler" || code=$?
  while kill -0 "$handler" 2>/dev/null; do
    code=0
    wait "$handler" || code=$?
  done
  # Just born it may still have this shell's trap for TERM, and beat on for ever.
  kill -9 "$beater" 2>/dev/null
  wait "$beater" 2>/dev/null
}

report() {
  if [ "$code" -eq 0 ]; then
    sql -v worker="$worker" -v id="$id" -v lease="$lease" -v output="$(head -c 100000 "$scratch/out")" <<'SQL'
SELECT j ->> 'status' FROM jobforge_complete_job(:'id', :'worker', 'succeeded',
  p_result => jsonb_build_object('output', :'output'::text), p_lease => :lease) j;
SQL
  else
    sql -v worker="$worker" -v id="$id" -v lease="$lease" -v code="$code" -v message="$(tail -c 2000 "$scratch/err")" <<'SQL'
SELECT j ->> 'status' FROM jobforge_complete_job(:'id', :'worker', 'failed',
  p_error => jsonb_build_object('message', :'message'::text, 'kind', 'exit_code', 'details', jsonb_build_object('code', :code)),
  p_lease => :lease) j;
SQL
  fi
}

# A report is sent until it is heard or refused: the job is done, and must not run again for want of an answer.
settle() {
  while :; do
    ended=$(report) && { say "job $id is $ended"; return; }
    [ $? -eq 3 ] && { say "job $id was taken from this worker; its result is dropped"; return; }
    sleep 1
  done
}

stopping=
trap 'stopping=1' TERM INT
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
new_id
say "takes jobs from queue $QUEUE"
while [ -z "$stopping" ]; do
  if job=$(claim); then
    if [ -z "$job" ]; then
      sleep "$POLL_S" &
      wait $!
      continue
    fi
    IFS="$(printf '\t')" read -r id lease type payload <<JOB
$job
JOB
    run
    settle
  else
    # The database is away, or this worker was silent for too long: it comes back as somebody else.
    new_id
    sleep "$POLL_S" &
    wait $!
  fi
done
sql -v worker="$worker" >/dev/null 2>&1 <<'SQL'
SELECT jobforge_leave_worker(:'worker');
SQL
say "has stopped"

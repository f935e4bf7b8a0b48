#!/bin/sh
# Runs one job: $1 is its type, $2 its payload. What is printed is the result; any exit code but 0 is a failure.
case $1 in
  text.shout) printf '%s' "$2" | tr '[:lower:]' '[:upper:]' ;;
  *)
    echo "no handler for type $1" >&2
    exit 1
    ;;
esac

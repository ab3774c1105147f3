#!/usr/bin/env bash
# What Apache Kafka's own assignors make of the cases of groupcoord's TestAssignmentsBesideKafkas.
#   run.sh           fail unless that is groupcoord/testdata/assignments-4.4.0.txt
#   run.sh record    write it
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
groupcoord=$(cd "$here/../../groupcoord" && pwd)
answers=$groupcoord/testdata/assignments-4.4.0.txt
jars=${KAFKA_CACHE:-$here/../.cache}/broker-4.4.0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

command -v javac >/dev/null || apt-get install -y -q openjdk-17-jdk-headless ||
  { apt-get update -q && apt-get install -y -q openjdk-17-jdk-headless; }
[ -e "$jars/.complete" ] || "$here/../apache-kafka" fetch
(cd "$groupcoord" && go test -count=1 -run TestAssignmentsBesideKafkas . -args -cases "$work/cases")
javac -Xlint:all -Werror -d "$work" -cp "$jars/*" "$here/Assignors.java"
java -Dlog4j2.configurationFile="$here/../kafka/log4j2.properties" -cp "$work:$jars/*" Assignors <"$work/cases" >"$work/answers"
[ "$(wc -l <"$work/answers")" -gt 1000 ]
if [ "${1:-}" = record ]; then
  cp "$work/answers" "$answers"
else
  diff -q "$work/answers" "$answers"
fi

#!/usr/bin/env bash
# The image from the host's side: `run -p`, kcat produces and consumes, the data outlive the container
# in their volume, SIGTERM is a clean stop, and a memory limit is respected.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/podman.sh"
name=minikafka-test-$$
port=${PORT:-24290}
trap 'podman rm -f -t 1 "$name" >/dev/null 2>&1 || true; podman volume rm -f "$name" >/dev/null 2>&1 || true; cleanup_podman' EXIT
need kcat kcat
"$here/build.sh"

run() {
  podman run -d --name "$name" -p "127.0.0.1:$port:9092" -m 256m -v "$name:/var/lib/kafka/data" \
    -e "KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://localhost:$port" localhost/minikafka:latest >/dev/null
  for _ in $(seq 100); do
    kcat -b "localhost:$port" -L -m 1 >/dev/null 2>&1 && return
    sleep 0.1
  done
  podman logs "$name"
  return 1
}

stop() {
  local began=$SECONDS
  podman stop -t 10 "$name" >/dev/null
  [ "$(podman inspect --format '{{.State.ExitCode}}' "$name")" = 0 ] || { podman logs "$name"; echo "not a clean stop"; exit 1; }
  [ $((SECONDS - began)) -lt 5 ] || { echo "stopping took $((SECONDS - began)) s"; exit 1; }
  podman logs "$name" 2>&1 | grep -q 'Kafka Server started' || { echo "the ready line is missing"; exit 1; }
  podman rm "$name" >/dev/null
}

want=$(seq 1000)
run
echo "$want" | timeout 30 kcat -b "localhost:$port" -t image -P -X acks=all
stop
run # on the same volume
got=$(timeout 30 kcat -b "localhost:$port" -t image -C -o beginning -e -q)
[ "$got" = "$want" ] || { echo "consumed something else than was produced"; exit 1; }
stop
echo "image: ok"

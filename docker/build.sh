#!/usr/bin/env bash
# Builds the image localhost/minikafka:latest with podman, from nothing: no registry is asked.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/podman.sh"
context=$(mktemp -d)
trap 'rm -rf "$context"; cleanup_podman' EXIT
need podman podman
need runc runc

cd "$here/.."
CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$(git describe --always --dirty 2>/dev/null || echo dev)" \
  -o "$context/minikafka" ./cmd/minikafka
cp "$here/Containerfile" "$context/"
podman build -q -t localhost/minikafka:latest "$context"
podman image inspect --format '{{.Size}} bytes' localhost/minikafka:latest

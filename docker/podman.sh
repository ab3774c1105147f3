# Sourced: podman where ulimits may not be raised and no cgroup manager runs (CI, containers in
# containers). Sets CONTAINERS_CONF to a file of its own that cleanup_podman removes.
podman_conf=$(mktemp)
cat >"$podman_conf" <<'CONF'
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=32768:32768"]
[network]
network_backend = "netavark"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
CONF
export CONTAINERS_CONF=$podman_conf

cleanup_podman() { rm -f "$podman_conf"; }

# need PROGRAM PACKAGE
need() {
  command -v "$1" >/dev/null && return
  apt-get install -y -q --no-install-recommends "$2" >/dev/null 2>&1 ||
    { apt-get update -q >/dev/null && apt-get install -y -q --no-install-recommends "$2" >/dev/null; } ||
    { echo "could not install $2" >&2; exit 1; }
}

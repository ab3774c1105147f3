package broker

import "syscall"

// descriptorShares splits what the process may open: segment files and connections each have their share, so that
// neither takes the other's, and an eighth is left for everything else. A broker that could not open its logs
// any more because clients connected would have to stop.
func descriptorShares() (files, connections int) {
	const mostFiles, unknown = 8192, 1024
	limit := uint64(unknown)
	var r syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r); err == nil {
		limit = min(r.Cur, 1<<30)
	}
	files = int(min(limit/2, mostFiles))
	return files, int(limit) - files - int(limit/8)
}

// Package benchgroups measures group coordination: ours beside Apache Kafka in one run (`make bench-groups`), and
// ours under thousands of groups and members (`make load-groups`). Members of consumer groups are simulated over real
// sockets: each follows the heartbeat interval of its answers, as the Java client does, gives up what it is to give
// up at once, and says so at once.
// The tests have the build tag kafka and are in no CI: figures of a busy machine say little, but for their ratios.
package benchgroups

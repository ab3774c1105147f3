package config

import "math"

// The node and its roles.
var (
	NodeID = number("node.id", 0, "The node's id in the cluster.", mustBeSet, atLeast(0))
	// brokerID is the old name of node.id: Load folds it in.
	brokerID     = number("broker.id", -1, "The old name of node.id.")
	processRoles = list("process.roles", "", "What the node does: broker, controller, or both.",
		mustBeSet, valid(ListOf{Values: []string{"broker", "controller"}, NonEmpty: true}))
	BrokerRack = text("broker.rack", null, "The rack of this broker, for placement and rack-aware fetching.")

	quorumVoters = list("controller.quorum.voters", "", "The controllers of a fixed quorum, id@host:port each.",
		valid(ListOf{Shown: "non-empty list"}))
	quorumBootstrapServers = list("controller.quorum.bootstrap.servers", "",
		"Where a quorum with changing members is found, host:port each.", valid(ListOf{Shown: "non-empty list"}))
)

// The network.
var (
	listeners           = list("listeners", "PLAINTEXT://:9092", "Where the node listens, NAME://host:port each.", perBroker, filled)
	advertisedListeners = list("advertised.listeners", null, "What clients are told to connect to; default: listeners.", filled)
	listenerProtocols   = text("listener.security.protocol.map",
		"SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT",
		"The security protocol of each listener name.", perBroker)
	interBrokerListener = text("inter.broker.listener.name", null, "The listener that brokers use among themselves.")
	interBrokerProtocol = text("security.inter.broker.protocol", "PLAINTEXT",
		"The security protocol among brokers where no listener is named.",
		oneOf("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"))
	controllerListeners = list("controller.listener.names", "", "Names of the controllers' listeners.", mustBeSet, filled)

	SocketRequestMaxBytes = size("socket.request.max.bytes", 104857600,
		"Largest request; a larger one closes the connection.", atLeast(1))
	_ = size("socket.send.buffer.bytes", 102400,
		"Send buffer of a connection's socket; -1 is the system's own choice.", noEffect)
	_ = size("socket.receive.buffer.bytes", 102400,
		"Receive buffer of a connection's socket; -1 is the system's own choice.", noEffect)
	ConnectionsMaxIdleMs = millis("connections.max.idle.ms", 600000, "Idle time after which a connection is closed.")
	MaxConnections       = number("max.connections", 2147483647, "Connections that are open at once.", clusterWide, atLeast(0))
	MaxConnectionsPerIP  = number("max.connections.per.ip", 2147483647,
		"Connections that one address may have open at once.", clusterWide, atLeast(0))
	QueuedMaxRequestBytes = long("queued.max.request.bytes", -1,
		"Bytes of requests in work above which nothing more is read; -1 is no limit.")
	FetchMaxBytes                = size("fetch.max.bytes", 57671680, "Largest answer to a fetch.", atLeast(1024))
	MaxRequestPartitionSizeLimit = number("max.request.partition.size.limit", 2000,
		"Most partitions in one answer of DescribeTopicPartitions.", atLeast(1))
	MaxIncrementalFetchSessionCacheSlots = number("max.incremental.fetch.session.cache.slots", 1000,
		"Fetch sessions that the broker keeps.", atLeast(0))
)

// Topics and logs.
var (
	LogDirs                  = list("log.dirs", null, "The data directories; log.dir where it is not set.", filled, then(logDir.row))
	logDir                   = list("log.dir", "/tmp/kafka-logs", "The data directory where log.dirs is not set.", filled)
	MetadataLogDir           = text("metadata.log.dir", null, "Where the metadata log is kept; default: the first data directory.")
	NumPartitions            = number("num.partitions", 1, "Partitions of a topic that does not say.", atLeast(1))
	DefaultReplicationFactor = number("default.replication.factor", 1, "Replicas of a topic that does not say.")
	AutoCreateTopicsEnable   = boolean("auto.create.topics.enable", true, "Whether asking for an unknown topic creates it.")
	DeleteTopicEnable        = boolean("delete.topic.enable", true, "Whether topics can be deleted.")

	LogCleanerEnable    = boolean("log.cleaner.enable", true, "Whether compacted topics are compacted.")
	LogCleanerThreads   = number("log.cleaner.threads", 1, "Logs that are compacted at once.", clusterWide, atLeast(0))
	LogCleanerBackoffMs = millis("log.cleaner.backoff.ms", 15000,
		"How long the cleaner rests when there is nothing to compact.", clusterWide, atLeast(0))
	LogCleanerDedupeBufferSize = long("log.cleaner.dedupe.buffer.size", 134217728,
		"Most memory for the keys of a log that is compacted, over all threads.", clusterWide)
	LogCleanerIOBufferLoadFactor = double("log.cleaner.io.buffer.load.factor", 0.9,
		"Share of the dedupe buffer that is filled.", clusterWide)
	LogCleanerIOMaxBytesPerSecond = double("log.cleaner.io.max.bytes.per.second", math.MaxFloat64,
		"Bytes that the cleaner reads and writes in a second at most.", clusterWide)

	LogRetentionCheckIntervalMs = millis("log.retention.check.interval.ms", 300000,
		"How often logs are checked for segments to delete.", atLeast(1))
	LogFlushOffsetCheckpointIntervalMs = millis("log.flush.offset.checkpoint.interval.ms", 60000,
		"How often the recovery points are written; 0 is once.", asInt, atLeast(0))
	LogFlushStartOffsetCheckpointIntervalMs = millis("log.flush.start.offset.checkpoint.interval.ms", 60000,
		"How often the log starts are written; 0 is once.", asInt, atLeast(0))
	ReplicaHighWatermarkCheckpointIntervalMs = millis("replica.high.watermark.checkpoint.interval.ms", 5000,
		"How often the high watermarks are written; 0 is once.")
	NumRecoveryThreadsPerDataDir = number("num.recovery.threads.per.data.dir", 2,
		"Logs of a directory that are opened at once at start.", clusterWide, atLeast(1))
	ProducerIDExpirationMs = millis("producer.id.expiration.ms", 86400000,
		"Idle time after which a producer's sequence numbers are forgotten.", asInt, clusterWide, atLeast(1))
	ReplicaLagTimeMaxMs = millis("replica.lag.time.max.ms", 30000,
		"How long a replica may lag before it leaves the in-sync set.")

	MetadataLogMaxRecordBytesBetweenSnapshots = long("metadata.log.max.record.bytes.between.snapshots", 20971520,
		"Bytes of the metadata log after which a snapshot is taken.", atLeast(1))
	MetadataLogSegmentBytes = size("metadata.log.segment.bytes", 1<<30, "Size at which a segment of the metadata log is closed.",
		atLeast(8<<20))
	MetadataLogSegmentMs = millis("metadata.log.segment.ms", 604800000,
		"Age at which a segment of the metadata log is closed.")
	MetadataLogMaxSnapshotIntervalMs = millis("metadata.log.max.snapshot.interval.ms", 3600000,
		"Time after which a snapshot of the metadata is taken if anything changed; 0: never by time.", atLeast(0))
)

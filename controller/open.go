package controller

import (
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"

	"minikafka/config"
	"minikafka/logstore"
	"minikafka/metadata"
)

const metadataLogName = "__cluster_metadata-0"

// metadataTopicID is the id that Kafka gives the metadata topic.
var metadataTopicID = metadata.UUID{15: 1} //nolint:gochecknoglobals // a constant

// Open replays snapshot and log, and campaigns. It returns when the node leads its quorum (one voter)
// and the image is caught up with the log. A directory that cannot be trusted is an error, and nothing
// in it was changed then.
func Open(ctx context.Context, o Options) (*Controller, error) {
	dir := filepath.Join(o.Dir, metadataLogName)
	found := o.Inspected
	if found == nil {
		var err error
		if found, err = Inspect(o); err != nil {
			return nil, err
		}
	}
	found.image.ClusterID = o.ClusterID
	if err := o.FS.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("opening the metadata log: %w", err)
	}
	if err := o.FS.SyncDir(o.Dir); err != nil {
		return nil, fmt.Errorf("opening the metadata log: %w", err)
	}
	if err := removeParts(o.FS, dir); err != nil {
		return nil, fmt.Errorf("opening the metadata log: %w", err)
	}
	bootstrap, err := found.bootstrap(o, dir)
	if err != nil {
		return nil, fmt.Errorf("formatting the metadata log: %w", err)
	}
	log, err := openMetadataLog(ctx, o, dir)
	if err != nil {
		return nil, fmt.Errorf("opening the metadata log: %w", err)
	}
	c, err := start(o, dir, found, log, bootstrap)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting the metadata quorum: %w", err), log.Close())
	}
	return c, nil
}

// start makes the controller lead and starts its loop.
func start(o Options, dir string, found *Inspection, log metadataLog, bootstrap []metadata.Record) (*Controller, error) {
	if end := log.LogEndOffset(); end != found.end {
		return nil, fmt.Errorf("the log ends at %d after recovery, but its valid batches end at %d", end, found.end)
	}
	if found.end < found.snapshot.id.EndOffset {
		if err := log.TruncateFullyAndStartAt(found.snapshot.id.EndOffset); err != nil {
			return nil, err
		}
	}
	c := &Controller{
		o: o, machine: newMachine(o), publisher: metadata.NewPublisher(found.image), spec: metadata.NewReplay(found.image),
		queue: make(chan *change, queueLength), quit: make(chan struct{}), ended: make(chan struct{}),
		values: brokerValues(o.Config, found.image, o.NodeID),
		snapshots: snapshots{
			newest: found.snapshot.id, controls: found.controls, written: make(chan snapshotDone, 1),
			sawRecords: found.snapshot.id.EndOffset > 0,
		},
	}
	store := &raftStore{
		log: log, snapIndex: found.snapshot.index, snapTerm: uint64(found.snapshot.id.Epoch),
		entries: found.entries,
	}
	var err error
	if c.quorum, err = newQuorum(o, dir, store, found.state, c.applyCommitted); err != nil {
		return nil, err
	}
	if err := c.quorum.campaign(); err != nil {
		return nil, err
	}
	if err := c.begin(bootstrap); err != nil {
		return nil, err
	}
	go c.run()
	return c, nil
}

// begin writes what a fresh active controller writes: the end of a transaction that its predecessor left
// open, and the bootstrap records into an empty log.
func (c *Controller) begin(bootstrap []metadata.Record) error {
	var records []metadata.Record
	switch {
	case c.spec.Open():
		records = []metadata.Record{&metadata.AbortTransactionRecord{}}
	case !c.sawRecords:
		records = bootstrap
	default:
		return nil
	}
	t := &change{done: make(chan error, 1), decide: func(view) ([]metadata.Record, error) { return records, nil }}
	if err := c.round(t); err != nil {
		return err
	}
	return <-t.done
}

func openMetadataLog(ctx context.Context, o Options, dir string) (*logstore.Log, error) {
	return logstore.OpenLog(ctx, logstore.LogOptions{
		FS: o.FS, Clock: o.Clock, Logger: o.Logger, Dir: dir, Recover: true,
		TopicPartition: logstore.TopicPartition{Topic: "__cluster_metadata"}, TopicID: metadataTopicID,
		Config: logstore.Config{
			SegmentBytes: config.Get(o.Config, config.MetadataLogSegmentBytes), SegmentIndexBytes: 10 << 20, IndexIntervalBytes: 4096,
			SegmentMs: config.Get(o.Config, config.MetadataLogSegmentMs), RetentionBytes: -1, RetentionMs: -1,
			FlushMessages: math.MaxInt64, FlushMs: math.MaxInt64, CleanupDelete: true,
		},
	})
}

package controller

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"

	"minikafka/config"
	"minikafka/metadata"
)

// defaultFeatures are the feature levels of a new cluster, those of Kafka 4.4's `storage format`
// (features-errors-4.4.0.tsv), metadata.version first.
func defaultFeatures() []metadata.Record {
	return []metadata.Record{
		&metadata.FeatureLevelRecord{Name: "metadata.version", FeatureLevel: 33},
		&metadata.FeatureLevelRecord{Name: featureELR, FeatureLevel: 1},
		&metadata.FeatureLevelRecord{Name: "group.version", FeatureLevel: 1},
		&metadata.FeatureLevelRecord{Name: "share.version", FeatureLevel: 2},
		&metadata.FeatureLevelRecord{Name: "streams.version", FeatureLevel: 1},
		&metadata.FeatureLevelRecord{Name: "transaction.version", FeatureLevel: 2},
	}
}

// newFeatures are those of a new cluster with other levels for some. As with `storage format --feature`, the
// metadata's version is not one of them, and level 0 is a feature that is not there.
func newFeatures(levels map[string]int16) ([]metadata.Record, error) {
	known := map[string]bool{}
	records := slices.DeleteFunc(defaultFeatures(), func(r metadata.Record) bool {
		f := r.(*metadata.FeatureLevelRecord)
		if level, ok := levels[f.Name]; ok && f.Name != metadata.MetadataVersion {
			known[f.Name], f.FeatureLevel = true, level
		}
		return f.FeatureLevel == 0
	})
	for name, level := range levels {
		if !known[name] {
			return nil, fmt.Errorf("feature %s cannot be set for a new cluster", name)
		}
		if level < 0 {
			return nil, fmt.Errorf("feature %s cannot have level %d", name, level)
		}
		if err := metadata.CheckFeature(name, level); err != nil {
			return nil, err
		}
	}
	return records, nil
}

// bootstrap are the records that the first active controller writes into an empty log: those that
// `storage format` left, or, in an empty directory, the defaults, which it leaves there the same way:
// a snapshot that ends at offset 0, of a static quorum (kraft.version 0).
func (f *Inspection) bootstrap(o Options, dir string) ([]metadata.Record, error) {
	records, err := f.formatted(o)
	if err != nil {
		return nil, err
	}
	if len(records) == 0 && f.empty {
		now := o.Clock.Now().UnixMilli()
		if records, err = newFeatures(o.Features); err != nil {
			return nil, err
		}
		s := &snapshot{lastTime: now, records: records, level: f.image.MetadataVersion()}
		content, err := s.encode(now)
		if err != nil {
			return nil, err
		}
		if err := writeDurably(o.FS, filepath.Join(dir, s.id.name()+checkpointSuffix), content); err != nil {
			return nil, err
		}
	}
	return bootstrapTransaction(records, config.Get(o.Config, config.MinInsyncReplicas)), nil
}

// formatted are the bootstrap records that are on disk: the image of the snapshot that ends at 0, or
// the bootstrap.checkpoint of Kafka before 4.4.
func (f *Inspection) formatted(o Options) (records []metadata.Record, err error) {
	for r := range f.image.Records() {
		records = append(records, r)
	}
	if len(records) > 0 {
		return records, nil
	}
	var s snapshot
	_, err = readCheckpoint(o.FS, filepath.Join(o.Dir, "bootstrap.checkpoint"), &s)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("bootstrap.checkpoint: %w", err)
	}
	return s.records, nil
}

// bootstrapTransaction is the first batch of Kafka's controller. With eligible leader replicas it makes
// the cluster's min.insync.replicas explicit.
func bootstrapTransaction(records []metadata.Record, minISR int32) []metadata.Record {
	name, value := "Bootstrap records", strconv.Itoa(int(minISR))
	out := append([]metadata.Record{&metadata.BeginTransactionRecord{Name: &name}}, records...)
	for _, r := range records {
		if f, ok := r.(*metadata.FeatureLevelRecord); ok && f.Name == featureELR && f.FeatureLevel > 0 {
			out = append(out, &metadata.ConfigRecord{ResourceType: metadata.ResourceBroker, Name: configMinISR, Value: &value})
		}
	}
	return append(out, &metadata.EndTransactionRecord{})
}

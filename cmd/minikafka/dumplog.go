package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"minikafka/internal/vfs"
	"minikafka/logstore"
)

// dumper is one run of dump-log: Apache Kafka's DumpLogSegments, line for line, and an exit status that
// says whether anything was wrong.
type dumper struct {
	fs       vfs.FS
	out      *bufio.Writer
	errOut   io.Writer
	files    []string
	deep     bool
	print    bool // record contents
	metadata bool // records of the metadata log
	// coordinator is whose topic the records are of: group-coordinator, transaction-coordinator, share-coordinator.
	coordinator                  string
	offsets, transactions, share bool
	skipMeta                     bool // of records
	sanity                       bool
	verify                       bool
	maxBytes                     int64
	maxBatch                     int64 // what is read of a batch that an index points at
	wrong                        int   // things that are wrong
	notes                        notes
	schema                       recordSchemas
}

func dumpLogCommand() *cobra.Command {
	d := dumper{fs: vfs.OS()}
	cmd := &cobra.Command{
		Use:   "dump-log --files FILE[,FILE…]",
		Short: "Print and verify the files of a log: segments, indexes, snapshots, checkpoints (kafka-dump-log)",
		Long: `Print and verify the files of a log, as Apache Kafka's kafka-dump-log does.

Files: .log, .index, .timeindex, .txnindex and .snapshot of a partition, leader-epoch-checkpoint and
partition.metadata; the offset checkpoints of a data directory; .log and .checkpoint of the metadata log.
Everything that is read is verified: the exit status is 1 when anything is wrong.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			d.out, d.errOut = bufio.NewWriterSize(cmd.OutOrStdout(), 64<<10), cmd.ErrOrStderr()
			return d.run()
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&d.files, "files", nil, "the files, comma-separated")
	f.BoolVar(&d.deep, "deep-iteration", false, "print each record, not only each batch")
	f.BoolVar(&d.print, "print-data-log", false, "print the contents of records")
	f.BoolVar(&d.metadata, "cluster-metadata-decoder", false, "the records are of the metadata log")
	f.BoolVar(&d.offsets, "offsets-decoder", false, "the records are of __consumer_offsets")
	f.BoolVar(&d.transactions, "transaction-log-decoder", false, "the records are of __transaction_state")
	f.BoolVar(&d.share, "share-group-state-decoder", false, "the records are of __share_group_state")
	f.BoolVar(&d.skipMeta, "skip-record-metadata", false, "print the contents of records alone, and no control records")
	f.BoolVar(&d.sanity, "index-sanity-check", false, "check only what a start checks of an index")
	f.BoolVar(&d.verify, "verify-index-only", false, "verify indexes without printing them")
	f.Int64Var(&d.maxBytes, "max-bytes", math.MaxInt32, "bytes of each .log to read")
	f.Int64Var(&d.maxBatch, "max-message-size", 5<<20, "size of the largest batch")
	_ = cmd.MarkFlagRequired("files")
	return cmd
}

// errDump is why the exit status is 1; what was wrong is printed by then.
var errDump = errors.New("dump-log: something is wrong with the files")

func (d *dumper) run() error {
	switch {
	case d.offsets:
		d.coordinator = "group-coordinator"
	case d.transactions:
		d.coordinator = "transaction-coordinator"
	case d.share:
		d.coordinator = "share-coordinator"
	}
	d.print = d.print || d.metadata || d.coordinator != ""
	d.deep = d.deep || d.print
	if d.metadata || d.coordinator != "" {
		var err error
		if d.schema, err = loadRecordSchemas(); err != nil {
			return err
		}
	}
	for _, file := range d.files {
		d.printf("Dumping %s\n", file)
		if err := d.file(file); err != nil {
			d.complain("%s: %v\n", file, err)
		}
	}
	d.notes.print(d)
	if err := d.out.Flush(); err != nil {
		return err
	}
	if d.wrong > 0 {
		return errDump
	}
	return nil
}

func (d *dumper) file(path string) error {
	name := filepath.Base(path)
	switch filepath.Ext(name) {
	case ".log", ".checkpoint":
		return d.log(path)
	case ".index":
		return d.index(path)
	case ".timeindex":
		return d.timeIndex(path)
	case ".txnindex":
		return d.txnIndex(path)
	case ".snapshot":
		return d.snapshot(path)
	}
	switch {
	case name == logstore.LeaderEpochFile:
		return d.checkpoint(path, "epoch", "startOffset")
	case slices.Contains(logstore.CheckpointFiles(), name):
		return d.checkpoint(path, "topic", "partition", "offset")
	case name == logstore.PartitionMetadataFile:
		id, err := logstore.InspectTopicID(d.fs, filepath.Dir(path))
		if err == nil {
			d.printf("topicId: %s\n", id)
		}
		return err
	}
	_ = d.out.Flush()
	_, _ = fmt.Fprintf(d.errOut, "Ignoring unknown file %s\n", path)
	return nil
}

func (d *dumper) checkpoint(path string, names ...string) error {
	rows, err := logstore.InspectCheckpoint(d.fs, path, len(names))
	if err != nil {
		return err
	}
	for _, row := range rows {
		for i, value := range row {
			if i > 0 {
				d.printf(" ")
			}
			d.printf("%s: %s", names[i], value)
		}
		d.printf("\n")
	}
	return nil
}

func (d *dumper) printf(format string, args ...any) { _, _ = fmt.Fprintf(d.out, format, args...) }

// complain says what is wrong, on the error output, after what was printed so far.
func (d *dumper) complain(format string, args ...any) {
	d.wrong++
	_ = d.out.Flush()
	_, _ = fmt.Fprintf(d.errOut, format, args...)
}

// notes are findings that Kafka prints at the end, by file.
type notes struct {
	list []note
}

type note struct {
	title, file string
	lines       []string
}

// add keeps one line; title and file are the heading.
func (n *notes) add(title, file, line string) {
	for i := range n.list {
		if n.list[i].title == title && n.list[i].file == file {
			n.list[i].lines = append(n.list[i].lines, line)
			return
		}
	}
	n.list = append(n.list, note{title, file, []string{line}})
}

func (n *notes) print(d *dumper) {
	_ = d.out.Flush()
	for _, note := range n.list {
		_, _ = fmt.Fprintf(d.errOut, "%s%s\n  %s\n", note.title, note.file, strings.Join(note.lines, "\n  "))
	}
}

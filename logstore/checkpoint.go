package logstore

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"minikafka/internal/vfs"
)

// Checkpoint files are text (Kafka's CheckpointFile): a line "0" (the version), a line with the number of
// entries, and one entry a line, its fields separated by a space. All text files are written to
// <name>.tmp, synced, renamed, and the directory synced.
//
//	recovery-point-offset-checkpoint     topic partition offset    first offset that is not synced
//	log-start-offset-checkpoint          topic partition offset    where it is not the first segment's base
//	replication-offset-checkpoint        topic partition offset    high watermark
//	cleaner-offset-checkpoint            topic partition offset    first dirty offset
//	<partition>/leader-epoch-checkpoint  epoch startOffset
const (
	recoveryPointFile = "recovery-point-offset-checkpoint"
	logStartFile      = "log-start-offset-checkpoint"
	highWatermarkFile = "replication-offset-checkpoint"
	cleanerFile       = "cleaner-offset-checkpoint"
	epochsFile        = "leader-epoch-checkpoint"
)

// errMalformedCheckpoint says that a checkpoint file is not what Kafka or we would write.
var errMalformedCheckpoint = errors.New("malformed checkpoint file")

// readOffsets reads an offset checkpoint; a missing or empty file has no entries. errMalformedCheckpoint:
// the caller warns and goes on as if it was empty.
func readOffsets(fsys vfs.FS, path string) (map[TopicPartition]int64, error) {
	data, err := fsys.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return map[TopicPartition]int64{}, nil
	}
	if err != nil {
		return nil, err
	}
	offsets, err := parseOffsets(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return offsets, nil
}

func parseOffsets(data []byte) (map[TopicPartition]int64, error) {
	rows, err := parseCheckpoint(data, 3)
	if err != nil {
		return nil, err
	}
	offsets := make(map[TopicPartition]int64, len(rows))
	for _, row := range rows {
		partition, err1 := strconv.ParseInt(row[1], 10, 32)
		offset, err2 := strconv.ParseInt(row[2], 10, 64)
		tp := TopicPartition{row[0], int32(partition)}
		if _, twice := offsets[tp]; err1 != nil || err2 != nil || twice {
			return nil, fmt.Errorf("%w: entry %q", errMalformedCheckpoint, strings.Join(row, " "))
		}
		offsets[tp] = offset
	}
	return offsets, nil
}

// writeOffsets replaces an offset checkpoint, sorted by topic and partition.
func writeOffsets(fsys vfs.FS, path string, offsets map[TopicPartition]int64) error {
	return writeAtomic(fsys, path, formatOffsets(offsets))
}

func formatOffsets(offsets map[TopicPartition]int64) []byte {
	tps := make([]TopicPartition, 0, len(offsets))
	for tp := range offsets {
		tps = append(tps, tp)
	}
	slices.SortFunc(tps, func(a, b TopicPartition) int {
		return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	lines := make([]string, len(tps))
	for i, tp := range tps {
		lines[i] = tp.Topic + " " + strconv.Itoa(int(tp.Partition)) + " " + strconv.FormatInt(offsets[tp], 10)
	}
	return formatCheckpoint(lines)
}

func formatCheckpoint(lines []string) []byte {
	var b bytes.Buffer
	b.WriteString("0\n" + strconv.Itoa(len(lines)) + "\n")
	for _, line := range lines {
		b.WriteString(line)
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// parseCheckpoint splits the entries into exactly fields columns. Blank is no entries; all else that
// Kafka's reader refuses is errMalformedCheckpoint: another version, a count that is not the number of
// lines (a blank line at the end is one too many).
func parseCheckpoint(data []byte, fields int) ([][]string, error) {
	text := string(data)
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if version := strings.TrimSpace(lines[0]); version != "0" {
		return nil, fmt.Errorf("%w: version %q", errMalformedCheckpoint, version)
	}
	if len(lines) < 2 {
		return nil, fmt.Errorf("%w: no number of entries", errMalformedCheckpoint)
	}
	count, err := strconv.Atoi(strings.TrimSpace(lines[1]))
	if err != nil || count != len(lines)-2 {
		return nil, fmt.Errorf("%w: %q entries announced, %d lines follow", errMalformedCheckpoint, lines[1], len(lines)-2)
	}
	rows := make([][]string, 0, count)
	for _, line := range lines[2:] {
		row := strings.Fields(line)
		if len(row) != fields {
			return nil, fmt.Errorf("%w: entry %q", errMalformedCheckpoint, line)
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// writeAtomic replaces a file so that a crash leaves the old content or the new, never a mixture; when it
// returns nil the new one is durable.
func writeAtomic(fsys vfs.FS, path string, data []byte) error {
	tmp := path + ".tmp"
	if err := writeInPlace(fsys, tmp, data, true); err != nil {
		return err
	}
	if err := fsys.Rename(tmp, path); err != nil {
		return err
	}
	return fsys.SyncDir(filepath.Dir(path))
}

// writeInPlace overwrites a file. One that is new or empty is not truncated: ext4 writes a file that was at once when
// it is closed, and thousands of them make a stop slow.
func writeInPlace(fsys vfs.FS, path string, data []byte, sync bool) error {
	f, err := fsys.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o644)
	if err != nil {
		return err
	}
	size, err := f.Size()
	if err == nil && size > 0 {
		err = f.Truncate(0)
	}
	if err == nil && len(data) > 0 {
		_, err = f.WriteAt(data, 0)
	}
	if err == nil && sync {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

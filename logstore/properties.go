package logstore

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"minikafka/internal/vfs"
)

// Names of the files that identify a log directory and a partition.
const (
	metaPropertiesFile    = "meta.properties"
	partitionMetadataFile = "partition.metadata"
	cleanShutdownFile     = ".kafka_cleanshutdown"
)

// errMalformedFile says that meta.properties, partition.metadata or the clean-shutdown file does not parse.
var errMalformedFile = errors.New("malformed file")

// metaProperties is meta.properties v1: whose directory this is. A zero DirectoryID is a missing one (to
// be generated and written at start).
type metaProperties struct {
	ClusterID   string
	NodeID      int32
	DirectoryID UUID
}

// readMetaProperties reads dir's file. fs.ErrNotExist when there is none; errMalformedFile for version 0
// (ZooKeeper: migrate with Kafka 3.9 first), missing or unreadable fields.
func readMetaProperties(fsys vfs.FS, dir string) (metaProperties, error) {
	path := filepath.Join(dir, metaPropertiesFile)
	data, err := fsys.ReadFile(path)
	if err != nil {
		return metaProperties{}, err
	}
	m, err := parseMetaProperties(string(data))
	if err != nil {
		return metaProperties{}, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

func parseMetaProperties(text string) (metaProperties, error) {
	p := parseProperties(text)
	if p["version"] != "1" {
		return metaProperties{}, fmt.Errorf("%w: version %q, want 1", errMalformedFile, p["version"])
	}
	node, err := strconv.ParseInt(p["node.id"], 10, 32)
	if err != nil || node < 0 || p["cluster.id"] == "" {
		return metaProperties{}, fmt.Errorf("%w: cluster.id %q, node.id %q", errMalformedFile, p["cluster.id"], p["node.id"])
	}
	m := metaProperties{ClusterID: p["cluster.id"], NodeID: int32(node)}
	if id := p["directory.id"]; id != "" {
		if m.DirectoryID, err = parseUUID(id); err != nil {
			return metaProperties{}, fmt.Errorf("directory.id: %w", err)
		}
	}
	return m, nil
}

// write replaces dir's file; now is for the comment line that java.util.Properties writes.
func (m metaProperties) write(fsys vfs.FS, dir string, now time.Time) error {
	var b strings.Builder
	b.WriteString("#\n#" + now.UTC().Format("Mon Jan 02 15:04:05 MST 2006") + "\n")
	fmt.Fprintf(&b, "cluster.id=%s\ndirectory.id=%s\nnode.id=%d\nversion=1\n", escapeProperty(m.ClusterID), formatUUID(m.DirectoryID), m.NodeID)
	return writeAtomic(fsys, filepath.Join(dir, metaPropertiesFile), []byte(b.String()))
}

// parseProperties reads java.util.Properties text: comments, the three separators, escapes, and lines
// continued by a backslash. It accepts anything, as Java does.
func parseProperties(text string) map[string]string {
	properties := map[string]string{}
	text = strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(text)
	lines := strings.Split(text, "\n")
	for i := 0; i < len(lines); i++ {
		line := strings.TrimLeft(lines[i], " \t\f")
		if line == "" || line[0] == '#' || line[0] == '!' {
			continue
		}
		for continued(line) && i+1 < len(lines) {
			i++
			line = line[:len(line)-1] + strings.TrimLeft(lines[i], " \t\f")
		}
		end := 0
		for end < len(line) && !strings.ContainsRune("=: \t\f", rune(line[end])) {
			if line[end] == '\\' {
				end++
			}
			end++
		}
		end = min(end, len(line))
		value := strings.TrimLeft(line[end:], " \t\f")
		if value != "" && (value[0] == '=' || value[0] == ':') {
			value = strings.TrimLeft(value[1:], " \t\f")
		}
		properties[unescapeProperty(line[:end])] = unescapeProperty(value)
	}
	return properties
}

// continued reports an odd number of backslashes at the end.
func continued(line string) bool {
	return (len(line)-len(strings.TrimRight(line, `\`)))%2 == 1
}

func unescapeProperty(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			if s[i] != '\\' {
				b.WriteByte(s[i])
			}
			continue
		}
		i++
		switch s[i] {
		case 't':
			b.WriteByte('\t')
		case 'n':
			b.WriteByte('\n')
		case 'r':
			b.WriteByte('\r')
		case 'f':
			b.WriteByte('\f')
		case 'u':
			if r, err := strconv.ParseUint(s[i+1:min(i+5, len(s))], 16, 16); err == nil {
				b.WriteRune(rune(r))
				i += 4
			}
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

func escapeProperty(s string) string {
	return strings.NewReplacer(`\`, `\\`, "=", `\=`, ":", `\:`, "#", `\#`, "!", `\!`, "\n", `\n`, "\r", `\r`, "\t", `\t`).Replace(s)
}

// formatUUID is Kafka's text of an id: base64url of the 16 bytes without padding, 22 characters.
func formatUUID(id UUID) string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// parseUUID reads formatUUID's text; errMalformedFile for any other. Java's decoder takes padding too.
func parseUUID(s string) (UUID, error) {
	b, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(s, "="))
	if err != nil || len(b) != len(UUID{}) {
		return UUID{}, fmt.Errorf("%w: %q is not an id", errMalformedFile, s)
	}
	return UUID(b), nil
}

// newUUID makes a random (version 4) id. Ids below 100 are reserved by Kafka (unassigned, lost, migrating
// directories), and those whose text begins with "-" would look like an option to its tools.
func newUUID(random io.Reader) (UUID, error) {
	for {
		var id UUID
		if _, err := io.ReadFull(random, id[:]); err != nil {
			return UUID{}, err
		}
		id[6] = id[6]&0x0f | 0x40
		id[8] = id[8]&0x3f | 0x80
		if reserved := binary.BigEndian.Uint64(id[:8]) == 0 && binary.BigEndian.Uint64(id[8:]) < 100; !reserved && formatUUID(id)[0] != '-' {
			return id, nil
		}
	}
}

var metadataSeparator = regexp.MustCompile(`:\s+`)

// readPartitionMetadata is the topic id in a partition's directory. fs.ErrNotExist when there is no file,
// errMalformedFile when it does not parse or the id is zero.
func readPartitionMetadata(fsys vfs.FS, dir string) (UUID, error) {
	path := filepath.Join(dir, partitionMetadataFile)
	data, err := fsys.ReadFile(path)
	if err != nil {
		return UUID{}, err
	}
	id, err := parsePartitionMetadata(string(data))
	if err != nil {
		return UUID{}, fmt.Errorf("%s: %w", path, err)
	}
	return id, nil
}

func parsePartitionMetadata(text string) (UUID, error) {
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if len(lines) < 2 {
		return UUID{}, fmt.Errorf("%w: %d lines", errMalformedFile, len(lines))
	}
	version := metadataSeparator.Split(lines[0], -1)
	topic := metadataSeparator.Split(lines[1], -1)
	if len(version) != 2 || version[0] != "version" || len(topic) != 2 || topic[0] != "topic_id" {
		return UUID{}, fmt.Errorf("%w: %q", errMalformedFile, text)
	}
	if v, err := strconv.Atoi(version[1]); err != nil || v < 0 {
		return UUID{}, fmt.Errorf("%w: version %q", errMalformedFile, version[1])
	}
	id, err := parseUUID(topic[1])
	if err == nil && id == (UUID{}) {
		err = fmt.Errorf("%w: topic id is zero", errMalformedFile)
	}
	return id, err
}

// writePartitionMetadata names the topic before the first records are on disk for good.
func writePartitionMetadata(fsys vfs.FS, dir string, topicID UUID) error {
	return writeAtomic(fsys, filepath.Join(dir, partitionMetadataFile), []byte("version: 0\ntopic_id: "+formatUUID(topicID)))
}

// readCleanShutdown reads the marker of a clean stop: present says whether there is one (its content
// does not matter for that), brokerEpoch is -1 when it cannot be read.
func readCleanShutdown(fsys vfs.FS, dir string) (present bool, brokerEpoch int64, err error) {
	data, err := fsys.ReadFile(filepath.Join(dir, cleanShutdownFile))
	if errors.Is(err, fs.ErrNotExist) {
		return false, -1, nil
	}
	if err != nil {
		return false, -1, err
	}
	return true, markerBrokerEpoch(data), nil
}

func markerBrokerEpoch(data []byte) int64 {
	var marker struct{ Version, BrokerEpoch *int64 }
	if json.Unmarshal(data, &marker) != nil || marker.BrokerEpoch == nil || marker.Version == nil || *marker.Version != 0 {
		return -1
	}
	return *marker.BrokerEpoch
}

// writeCleanShutdown marks dir as cleanly stopped.
func writeCleanShutdown(fsys vfs.FS, dir string, brokerEpoch int64) error {
	return writeAtomic(fsys, filepath.Join(dir, cleanShutdownFile), fmt.Appendf(nil, `{"version":0,"brokerEpoch":%d}`, brokerEpoch))
}

// removeCleanShutdown is the first act of a start, durable before anything else happens.
func removeCleanShutdown(fsys vfs.FS, dir string) error {
	if err := fsys.Remove(filepath.Join(dir, cleanShutdownFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return fsys.SyncDir(dir)
}

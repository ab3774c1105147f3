package protocol

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// filler makes random kmsg requests.
type filler struct {
	rng  *rand.Rand
	wide int // elements of the outermost arrays
	// Tagged fields that this version may not have, in lower case; kmsg would encode them.
	forbidden map[string]bool
}

// forbid collects the names of forbidden tags.
func (f *filler) forbid(l *layout) {
	for _, fields := range [][]layoutField{l.fields, l.tags} {
		for i := range fields {
			if fields[i].kind == forbidden {
				f.forbidden[strings.ReplaceAll(fields[i].name, "_", "")] = true
			}
			if fields[i].elem != nil {
				f.forbid(fields[i].elem)
			}
		}
	}
}

func (f *filler) fill(v reflect.Value, depth int) {
	switch v.Kind() { //nolint:exhaustive // kmsg and ours have no others: the default panics
	case reflect.Bool:
		v.SetBool(f.rng.IntN(2) == 0)
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(f.rng.Int64() >> f.rng.IntN(64))
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		v.SetUint(f.rng.Uint64() >> f.rng.IntN(64))
	case reflect.Float64:
		v.SetFloat(f.rng.Float64())
	case reflect.String:
		v.SetString(string(make([]byte, f.rng.IntN(200)>>f.rng.IntN(8))))
	case reflect.Pointer:
		v.SetZero()
		if f.rng.IntN(3) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			f.fill(v.Elem(), depth)
		}
	case reflect.Slice:
		n := f.rng.IntN(4)
		if depth == 0 && n > 0 {
			n = f.wide
		}
		v.SetZero() // null, where that can be
		if n > 0 || f.rng.IntN(2) == 0 {
			v.Set(reflect.MakeSlice(v.Type(), n, n))
		}
		f.fillAll(v, depth+1)
	case reflect.Array:
		f.fillAll(v, depth)
	case reflect.Struct:
		f.fillStruct(v, depth)
	default:
		panic(v.Kind())
	}
}

func (f *filler) fillAll(v reflect.Value, depth int) {
	for i := range v.Len() {
		f.fill(v.Index(i), depth)
	}
}

func (f *filler) fillStruct(v reflect.Value, depth int) {
	if tags, ok := v.Addr().Interface().(*kmsg.Tags); ok {
		for range f.rng.IntN(3) * f.rng.IntN(2) {
			tags.Set(uint32(1000+f.rng.IntN(1000)), make([]byte, f.rng.IntN(5)))
		}
		return
	}
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		if f.forbidden[strings.ToLower(name)] {
			fresh := reflect.New(v.Type())
			fresh.MethodByName("Default").Call(nil)
			v.Field(i).Set(fresh.Elem().Field(i))
		} else if name != "Version" {
			f.fill(v.Field(i), depth)
		}
	}
}

// everyRequest calls f for each API and version of Kafka that kmsg has too.
func everyRequest(f func(api *requestLayouts, req kmsg.Request)) (apis, versions int) {
	for key := range requests {
		api := request(int16(key))
		if api == nil {
			continue
		}
		apis++
		for v := api.min; v <= api.max; v++ {
			req := kmsg.RequestForKey(int16(key))
			if v > req.MaxVersion() {
				continue
			}
			versions++
			req.SetVersion(v)
			f(api, req)
		}
	}
	return apis, versions
}

func random(rng *rand.Rand, req kmsg.Request, wide int) []byte {
	v := req.GetVersion()
	f := &filler{rng: rng, wide: wide, forbidden: map[string]bool{}}
	api := request(req.Key())
	f.forbid(api.layouts[v-api.min])
	f.fill(reflect.ValueOf(req).Elem(), 0)
	req.SetVersion(v)
	return req.AppendTo(nil)
}

// charge walks a body without the limits of memory and returns what it would take and what was not read.
func charge(api *requestLayouts, version int16, body []byte) (memory int, rest []byte, err *LayoutError) {
	const lots = 1 << 40
	w := walk{b: body, elements: maxElements, memory: lots}
	err = w.layout(api.layouts[version-api.min])
	return lots - w.memory, w.b, err
}

func TestWhatKmsgEncodesIsAcceptedAndReadToItsEnd(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	apis, versions := everyRequest(func(api *requestLayouts, req kmsg.Request) {
		for range 40 {
			body := random(rng, req, 1+rng.IntN(4))
			_, rest, lerr := charge(api, req.GetVersion(), body)
			require.Nil(t, lerr, "%s v%d\n%+v", api.name, req.GetVersion(), req)
			require.Empty(t, rest, "%s v%d", api.name, req.GetVersion())
			require.NoError(t, CheckRequest(req.Key(), req.GetVersion(), append(body, 1, 2, 3)), "Kafka allows bytes after the body")
		}
		require.Equal(t, req.IsFlexible(), req.GetVersion() >= api.flexible, "%s v%d", api.name, req.GetVersion())
	})
	require.Equal(t, 91, apis, "Kafka 4.4 has 95 keys, 4 of which have no version")
	require.Greater(t, versions, 250)
}

func TestRequestCutAnywhereIsRefused(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	everyRequest(func(api *requestLayouts, req kmsg.Request) {
		for range 4 {
			body := random(rng, req, 2)
			for n := range body {
				err := CheckRequest(req.Key(), req.GetVersion(), body[:n])
				require.ErrorIs(t, err, ErrBadRequest, "%s v%d cut to %d of %d", api.name, req.GetVersion(), n, len(body))
			}
		}
	})
}

// allocated is how many bytes f allocates: the least of three runs, because other goroutines count too.
func allocated(f func()) uint64 {
	least := uint64(math.MaxUint64)
	for range 3 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		least = min(least, after.TotalAlloc-before.TotalAlloc)
	}
	return least
}

// decoding is how many bytes kmsg allocates for a body.
func decoding(key, version int16, body []byte) (bytes uint64, err error) {
	bytes = allocated(func() {
		req := kmsg.RequestForKey(key)
		req.SetVersion(version)
		err = req.ReadFrom(body)
	})
	return bytes, err
}

// requestSlack is what the request itself takes, which is not charged.
const requestSlack = 4096

func TestChargedMemoryIsWhatDecodingTakesAtLeast(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	everyRequest(func(api *requestLayouts, req kmsg.Request) {
		for range 4 {
			body := random(rng, req, 100)
			memory, _, lerr := charge(api, req.GetVersion(), body)
			require.Nil(t, lerr)
			got, err := decoding(req.Key(), req.GetVersion(), body)
			require.NoError(t, err)
			require.LessOrEqual(t, got, uint64(raceFactor*memory+requestSlack), "%s v%d, %d bytes", api.name, req.GetVersion(), len(body))
		}
	})
}

func TestTagBombCostsNothing(t *testing.T) {
	bomb := []byte{1, 1, 0xff, 0xff, 0xff, 0xff, 0x0f} // 50 s in kmsg
	start := time.Now()
	got := allocated(func() { require.ErrorIs(t, CheckRequest(18, 3, bomb), ErrBadRequest) })
	require.Less(t, time.Since(start), 10*time.Millisecond)
	require.Less(t, got, uint64(1<<20))
	require.EqualError(t, CheckRequest(18, 3, bomb), "ApiVersions version 3: tags: too many tags (4294967295, limit 64)")
}

// A body that announces, at each position, as much as an honest check of "count <= bytes" would let pass.
func TestAnnouncementsAtAnyPositionStayWithinTheMemoryCap(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	everyRequest(func(api *requestLayouts, req kmsg.Request) {
		body := random(rng, req, 2)
		padding := make([]byte, 64<<10)
		for n := 0; n < len(body); n += 1 + rng.IntN(48) {
			for _, announced := range [][]byte{{0, 0, 0x7f, 0xff}, {0, 0, 0xff, 0xff}, {0xff, 0xff, 3}, {0x80, 0x80, 2}, {0xff, 0xff, 0xff, 0xff, 7}} {
				hostile := append(append(append([]byte{}, body[:n]...), announced...), padding...)
				if CheckRequest(req.Key(), req.GetVersion(), hostile) != nil {
					continue
				}
				got, err := decoding(req.Key(), req.GetVersion(), hostile)
				require.NoError(t, err)
				require.LessOrEqual(t, got, uint64(memoryBase+memoryFactor*len(hostile)+requestSlack), "%s v%d at %d", api.name, req.GetVersion(), n)
			}
		}
	})
}

func TestRefusalsNameThePlace(t *testing.T) {
	// Fetch v4: replica, wait, min, max (4 each), isolation level, then the topics.
	fetch := slices.Clip(append(make([]byte, 17), 0, 0, 0, 1, 0, 1, 't'))
	for want, test := range map[string]struct {
		key, version int16
		body         []byte
	}{
		"Fetch version 4: topics[0].partitions: more elements announced than there can be (9, limit 0)":                 {1, 4, append(fetch, 0, 0, 0, 9, 1, 2, 3)},
		"Fetch version 4: topics[0].partitions: null where none may be (-1, limit 0)":                                   {1, 4, append(fetch, 0xff, 0xff, 0xff, 0xff)},
		"Fetch version 4: replica_id: cut short (17, limit 3)":                                                          {1, 4, make([]byte, 3)},
		"ApiVersions version 3: client_software_name: null where none may be (-1, limit 0)":                             {18, 3, []byte{0, 1, 0}},
		"ApiVersions version 3: client_software_name: string too long (32768, limit 32767)":                             {18, 3, append([]byte{0x81, 0x80, 2}, make([]byte, 40000)...)},
		"ApiVersions version 3: client_software_name: varint without end or too large (5, limit 5)":                     {18, 3, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f}},
		"ApiVersions version 3: tags: more bytes announced than there are (9, limit 1)":                                 {18, 3, []byte{1, 1, 1, 5, 9, 0}},
		"DescribeTopicPartitions version 0: cursor: bad marker of a nullable struct (-2, limit -1)":                     {75, 0, []byte{1, 0, 0, 0, 0, 0xfe, 0}},
		"Fetch version 12: cluster_id: tag longer than its content (2, limit 1)":                                        {1, 12, append(make([]byte, 25), 1, 1, 1, 1, 0, 2, 0, 0)},
		"Fetch version 12: replica_state: tag is not valid in this version (1, limit 0)":                                {1, 12, append(make([]byte, 25), 1, 1, 1, 1, 1, 2, 0, 0)},
		"AddOffsetsToTxn version 0: transactional_id: more bytes announced than there are (5, limit 1)":                 {25, 0, []byte{0, 5, 'x'}},
		"ConsumerGroupHeartbeat version 0: subscribed_topic_names[1]: more bytes announced than there are (8, limit 7)": {68, 0, []byte{1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 1, 9, 0, 0, 0, 0, 0, 0, 0}},
	} {
		err := CheckRequest(test.key, test.version, test.body)
		var lerr *LayoutError
		require.ErrorAs(t, err, &lerr)
		require.EqualError(t, err, want)
	}
}

func TestElementsAndMemoryAreLimited(t *testing.T) {
	// Metadata v0: 3 bytes a topic whose Go form takes 48.
	names := make([]byte, 4+3*(1<<18))
	names[1] = 4
	for i := 5; i < len(names); i += 3 {
		names[i] = 1
	}
	require.ErrorContains(t, CheckRequest(3, 0, names), "too much memory")

	// ListPartitionReassignments v0: partitions are plain int32s, 4 bytes each way.
	many := append(make([]byte, 4), 2, 2, 't', 0x82, 0x80, 0x40)
	many = append(many, make([]byte, 4<<20+64)...)
	require.ErrorContains(t, CheckRequest(46, 0, many), "too many elements")
}

func TestUnknownAPIsAndVersionsAreErrors(t *testing.T) {
	for _, key := range []int16{-1, 4, 5, 6, 7, 95, 32767, -32768} {
		require.ErrorIs(t, CheckRequest(key, 0, nil), ErrUnknownAPI)
	}
	var version *UnsupportedVersionError
	require.ErrorAs(t, CheckRequest(0, 2, nil), &version)
	require.Equal(t, UnsupportedVersionError{Key: 0, Version: 2, Min: 3, Max: 13}, *version)
	require.ErrorAs(t, CheckRequest(18, 6, nil), &version)
}

// Every array element takes at least a byte, or a count could not be checked against what remains.
func TestEveryElementTakesAByteAtLeast(t *testing.T) {
	var visit func(l *layout)
	visit = func(l *layout) {
		for _, fields := range [][]layoutField{l.fields, l.tags} {
			for i := range fields {
				if f := &fields[i]; f.elem != nil {
					if f.kind == array {
						require.Positive(t, f.elem.least)
						require.Positive(t, f.memory)
					}
					visit(f.elem)
				}
			}
		}
	}
	everyRequest(func(api *requestLayouts, req kmsg.Request) { visit(api.layouts[req.GetVersion()-api.min]) })
}

func TestCheckRequestAllocatesNothing(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	for _, key := range []kmsg.Key{kmsg.Produce, kmsg.Fetch, kmsg.Metadata} {
		req := key.Request()
		req.SetVersion(req.MaxVersion())
		body := random(rng, req, 20)
		require.Zero(t, testing.AllocsPerRun(100, func() {
			if err := CheckRequest(req.Key(), req.GetVersion(), body); err != nil {
				t.Fatal(err)
			}
		}))
	}
}

func FuzzCheckRequest(f *testing.F) {
	rng := rand.New(rand.NewPCG(6, 6))
	everyRequest(func(_ *requestLayouts, req kmsg.Request) { f.Add(req.Key(), req.GetVersion(), random(rng, req, 2)) })
	f.Add(int16(18), int16(3), []byte{1, 1, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, key, version int16, body []byte) {
		err := CheckRequest(key, version, body)
		if err != nil {
			var lerr *LayoutError
			var verr *UnsupportedVersionError
			require.True(t, errors.As(err, &lerr) || errors.As(err, &verr) || errors.Is(err, ErrUnknownAPI), "%v", err)
			return
		}
		if version > kmsg.RequestForKey(key).MaxVersion() {
			return
		}
		got, err := decoding(key, version, body)
		require.NoError(t, err, "accepted, but kmsg does not decode it")
		require.LessOrEqual(t, got, uint64(memoryBase+memoryFactor*len(body)+requestSlack))
	})
}

// kmsg parses the content of each tag that it knows: one that the tables lack would let a bomb through.
func TestNoTagOfKmsgIsMissingInTheTables(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 8))
	everyRequest(func(api *requestLayouts, req kmsg.Request) {
		if !req.IsFlexible() {
			return
		}
		body := random(rng, req, 1)
		for n, b := range body {
			for tag := byte(0); b == 0 && tag < 8; tag++ {
				hostile := append(append(append([]byte{}, body[:n]...), 1, tag, 2, 0xff, 0x7f), body[n+1:]...)
				if CheckRequest(req.Key(), req.GetVersion(), hostile) == nil {
					fresh := kmsg.RequestForKey(req.Key())
					fresh.SetVersion(req.GetVersion())
					require.NoError(t, fresh.ReadFrom(hostile), "%s v%d tag %d at %d", api.name, req.GetVersion(), tag, n)
				}
			}
		}
	})
}

// testdata holds bodies, some of them damaged, each with what Apache Kafka 4.4.0's own reader said of it.
func TestKafkaAcceptsAndRefusesTheSameBodies(t *testing.T) {
	text, err := os.ReadFile("testdata/kafka-4.4.0-verdicts.txt")
	require.NoError(t, err)
	lines, stricter := 0, 0
	for line := range strings.Lines(string(text)) {
		var key, version int16
		var body []byte
		var verdict string
		_, err := fmt.Sscanf(line, "%d %d %x %s", &key, &version, &body, &verdict)
		require.NoError(t, err, line)
		lines++
		err = CheckRequest(key, version, body)
		if verdict == "refused" {
			require.ErrorIs(t, err, ErrBadRequest, line)
			continue
		}
		if err != nil { // CheckRequest's comment says where we are stricter, and why
			require.Regexp(t, "tag longer than its content|varint without end|announced|cut short|bad marker", err.Error(), line)
			stricter++
		}
	}
	require.Greater(t, lines, 2000)
	require.Less(t, stricter, lines/100)
}

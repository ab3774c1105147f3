package config

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTopicOverrideWinsOverDynamicAndStatic(t *testing.T) {
	v := New(map[string]string{"log.segment.bytes": "2000000"})
	require.EqualValues(t, 2000000, Get(v, SegmentBytes))
	v = v.WithDynamic(nil, map[string]string{"log.segment.bytes": "3000000"})
	require.EqualValues(t, 3000000, Get(v, SegmentBytes))
	v = v.WithDynamic(map[string]string{"log.segment.bytes": "4000000"}, map[string]string{"log.segment.bytes": "3000000"})
	require.EqualValues(t, 4000000, Get(v, SegmentBytes))
	topic := v.Topic(map[string]string{"segment.bytes": "5000000"})
	require.EqualValues(t, 5000000, Get(topic, SegmentBytes))
	require.EqualValues(t, 4000000, Get(v, SegmentBytes))
	require.EqualValues(t, 1<<30, Get(New(nil), SegmentBytes))
}

func TestMillisecondsWinOverMinutesWinOverHours(t *testing.T) {
	require.Equal(t, 7*24*time.Hour, Get(New(nil), RetentionMs))
	require.Equal(t, 3*time.Hour, Get(New(map[string]string{"log.retention.hours": "3"}), RetentionMs))
	require.Equal(t, 2*time.Minute, Get(New(map[string]string{"log.retention.hours": "3", "log.retention.minutes": "2"}), RetentionMs))
	v := New(map[string]string{"log.retention.hours": "3", "log.retention.minutes": "2", "log.retention.ms": "9"})
	require.Equal(t, 9*time.Millisecond, Get(v, RetentionMs))
	require.Negative(t, Get(v.Topic(map[string]string{"retention.ms": "-1"}), RetentionMs))
}

func TestLogDirFallsBackToLogDir(t *testing.T) {
	require.Equal(t, []string{"/tmp/kafka-logs"}, Get(New(nil), LogDirs))
	require.Equal(t, []string{"/a"}, Get(New(map[string]string{"log.dir": "/a"}), LogDirs))
	require.Equal(t, []string{"/b", "/c"}, Get(New(map[string]string{"log.dir": "/a", "log.dirs": "/b, /c"}), LogDirs))
}

func TestEveryDeclaredDefaultHasTheKeysGoType(t *testing.T) {
	v := New(nil)
	for i, r := range declared {
		require.IsType(t, r.zero(), v.effective[i], r.Name)
	}
}

func BenchmarkGet(b *testing.B) {
	v := New(nil).Topic(map[string]string{"segment.bytes": "2000000"})
	for b.Loop() {
		if Get(v, SegmentBytes) != 2000000 {
			b.Fatal("wrong value")
		}
	}
}

func TestGetDoesNotAllocate(t *testing.T) {
	v := New(nil)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		_, _, _ = Get(v, SegmentBytes), Get(v, RetentionMs), Get(v, CleanupPolicy)
	}))
}

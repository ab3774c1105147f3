package clock

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func fired(t Timer) bool {
	select {
	case <-t.C():
		return true
	default:
		return false
	}
}

func TestTimersFireOnlyWhenTheClockIsMoved(t *testing.T) {
	start := time.Unix(1000, 0)
	c := NewManual(start)
	late, early := c.NewTimer(2*time.Second), c.NewTimer(time.Second)
	require.Equal(t, 2, c.Pending())
	c.Advance(999 * time.Millisecond)
	require.False(t, fired(early))
	c.Advance(time.Millisecond)
	require.Equal(t, start.Add(time.Second), c.Now())
	require.True(t, fired(early))
	require.False(t, fired(late))
	require.True(t, late.Stop())
	require.False(t, late.Stop())
	c.Advance(time.Hour)
	require.False(t, fired(late))
}

func TestResetTimerFiresAgainWithoutAStaleValue(t *testing.T) {
	c := NewManual(time.Unix(0, 0))
	timer := c.NewTimer(0)
	require.Zero(t, c.Pending(), "fired already")
	require.False(t, timer.Reset(time.Second))
	require.False(t, fired(timer))
	require.True(t, timer.Reset(2*time.Second))
	c.Advance(time.Second)
	require.False(t, fired(timer))
	c.Advance(time.Second)
	require.True(t, fired(timer))
}

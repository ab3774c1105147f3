package vfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// each runs a test on the operating system's and on the memory file system: they must agree.
func each(t *testing.T, f func(t *testing.T, fsys FS, dir string)) {
	t.Run("os", func(t *testing.T) { f(t, OS(), t.TempDir()) })
	t.Run("mem", func(t *testing.T) {
		m := NewMem()
		require.NoError(t, m.MkdirAll("/data", 0o755))
		f(t, m, "/data")
	})
}

func put(t *testing.T, fsys FS, name, content string) File {
	t.Helper()
	f, err := fsys.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	require.NoError(t, err)
	_, err = f.WriteAt([]byte(content), 0)
	require.NoError(t, err)
	return f
}

func TestNextDataSkipsWhatWasNeverWritten(t *testing.T) {
	each(t, func(t *testing.T, fsys FS, dir string) {
		f := put(t, fsys, filepath.Join(dir, "sparse"), "begin")
		require.NoError(t, f.Truncate(1<<20))
		_, err := f.WriteAt([]byte("later"), 512<<10)
		require.NoError(t, err)
		for off, want := range map[int64]int64{0: 0, 64 << 10: 512 << 10, 600 << 10: 1 << 20} {
			at, err := f.NextData(off)
			require.NoError(t, err)
			require.Equal(t, want, at, "from %d", off)
		}
		require.NoError(t, f.Close())
		_, err = f.NextData(0)
		require.Error(t, err)
	})
}

func TestFilesBehaveAlike(t *testing.T) {
	each(t, func(t *testing.T, fsys FS, dir string) {
		name := filepath.Join(dir, "a")
		_, err := fsys.OpenFile(name, os.O_RDWR, 0)
		require.ErrorIs(t, err, fs.ErrNotExist)
		f := put(t, fsys, name, "hello")
		require.Equal(t, name, f.Name())
		_, err = f.WriteAt([]byte("!"), 7)
		require.NoError(t, err)
		data, err := fsys.ReadFile(name)
		require.NoError(t, err)
		require.Equal(t, "hello\x00\x00!", string(data))
		buf := make([]byte, 4)
		n, err := f.ReadAt(buf, 6)
		require.Equal(t, 2, n)
		require.ErrorIs(t, err, io.EOF)
		_, err = f.ReadAt(buf, 100)
		require.ErrorIs(t, err, io.EOF)
		require.NoError(t, f.Truncate(2))
		require.NoError(t, f.Truncate(4))
		size, err := f.Size()
		require.NoError(t, err)
		require.Equal(t, int64(4), size)
		n, err = f.ReadAt(buf, 0)
		require.NoError(t, err)
		require.Equal(t, "he\x00\x00", string(buf[:n]))
		require.NoError(t, f.Sync())
		require.NoError(t, f.Close())
		_, err = f.WriteAt([]byte("x"), 0)
		require.ErrorIs(t, err, fs.ErrClosed)
		_, err = fsys.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
		require.ErrorIs(t, err, fs.ErrExist)
		when := time.Unix(12345, 0)
		require.NoError(t, fsys.SetModTime(name, when))
		info, err := fsys.Stat(name)
		require.NoError(t, err)
		require.True(t, when.Equal(info.ModTime()))
		readOnly, err := fsys.OpenFile(name, os.O_RDONLY, 0)
		require.NoError(t, err)
		_, err = readOnly.WriteAt([]byte("x"), 0)
		require.Error(t, err)
		require.NoError(t, readOnly.Close())
		_, usable, err := fsys.Space(dir)
		require.NoError(t, err)
		require.Positive(t, usable)
	})
}

func TestDirectoriesBehaveAlike(t *testing.T) {
	each(t, func(t *testing.T, fsys FS, dir string) {
		sub := filepath.Join(dir, "x", "y")
		require.NoError(t, fsys.MkdirAll(sub, 0o755))
		require.NoError(t, fsys.MkdirAll(sub, 0o755))
		f := put(t, fsys, filepath.Join(sub, "b"), "1")
		require.NoError(t, put(t, fsys, filepath.Join(sub, "a"), "2").Close())
		list, err := fsys.ReadDir(sub)
		require.NoError(t, err)
		require.Equal(t, []string{"a", "b"}, []string{list[0].Name(), list[1].Name()})
		require.NoError(t, fsys.Rename(filepath.Join(sub, "a"), filepath.Join(sub, "b")))
		data, err := fsys.ReadFile(filepath.Join(sub, "b"))
		require.NoError(t, err)
		require.Equal(t, "2", string(data))
		buf := make([]byte, 1)
		_, err = f.ReadAt(buf, 0)
		require.NoError(t, err, "an open file outlives its name")
		require.Equal(t, "1", string(buf))
		require.NoError(t, f.Close())
		require.Error(t, fsys.Remove(filepath.Join(dir, "x")), "not empty")
		require.NoError(t, fsys.Rename(filepath.Join(dir, "x"), filepath.Join(dir, "z")))
		require.NoError(t, fsys.SyncDir(dir))
		require.ErrorIs(t, fsys.Rename(filepath.Join(dir, "x"), filepath.Join(dir, "q")), fs.ErrNotExist)
		require.NoError(t, fsys.RemoveAll(filepath.Join(dir, "z")))
		require.NoError(t, fsys.RemoveAll(filepath.Join(dir, "z")))
		_, err = fsys.Stat(filepath.Join(dir, "z"))
		require.ErrorIs(t, err, fs.ErrNotExist)
		require.ErrorIs(t, fsys.Remove(filepath.Join(dir, "z")), fs.ErrNotExist)
		_, err = fsys.ReadDir(filepath.Join(dir, "z"))
		require.ErrorIs(t, err, fs.ErrNotExist)
	})
}

func TestLockExcludesASecondHolder(t *testing.T) {
	each(t, func(t *testing.T, fsys FS, dir string) {
		name := filepath.Join(dir, ".lock")
		first, err := fsys.Lock(name)
		require.NoError(t, err)
		_, err = fsys.Lock(name)
		require.ErrorContains(t, err, "held by another process")
		require.NoError(t, first.Close())
		again, err := fsys.Lock(name)
		require.NoError(t, err)
		require.NoError(t, again.Close())
	})
}

func TestSyncFSCoversFilesThatAreClosed(t *testing.T) {
	each(t, func(t *testing.T, fsys FS, dir string) {
		lock, err := fsys.Lock(filepath.Join(dir, ".lock"))
		require.NoError(t, err)
		require.NoError(t, fsys.MkdirAll(filepath.Join(dir, "a", "b"), 0o755))
		require.NoError(t, put(t, fsys, filepath.Join(dir, "a", "b", "c"), "data").Close())
		require.NoError(t, lock.SyncFS())
		if m, ok := fsys.(*Mem); ok {
			data, err := m.CrashClone(CrashOptions{}).ReadFile("/data/a/b/c")
			require.NoError(t, err)
			require.Equal(t, "data", string(data))
		}
		broken := Faulty(fsys, FailNth(OpSyncFS, "", 1, false, errors.New("no")))
		other, err := broken.Lock(filepath.Join(dir, "other"))
		require.NoError(t, err)
		require.Error(t, other.SyncFS())
		require.NoError(t, errors.Join(other.Close(), lock.Close()))
	})
}

func TestCrashKeepsOnlyWhatWasSynced(t *testing.T) {
	m := NewMem()
	require.NoError(t, m.MkdirAll("/d", 0o755))
	require.NoError(t, m.SyncDir("/"))
	f := put(t, m, "/d/kept", "synced")
	require.NoError(t, f.Sync())
	require.NoError(t, m.SyncDir("/d"))
	_, err := f.WriteAt([]byte("SYNCED and more"), 0)
	require.NoError(t, err)
	lost := put(t, m, "/d/lost", "data is synced, the name is not")
	require.NoError(t, lost.Sync())

	c := m.CrashClone(CrashOptions{})
	data, err := c.ReadFile("/d/kept")
	require.NoError(t, err)
	require.Equal(t, "synced", string(data))
	_, err = c.Stat("/d/lost")
	require.ErrorIs(t, err, fs.ErrNotExist)

	killed := m.CrashClone(CrashOptions{Unsynced: KeepAll})
	data, err = killed.ReadFile("/d/kept")
	require.NoError(t, err)
	require.Equal(t, "SYNCED and more", string(data))
	_, err = killed.Stat("/d/lost")
	require.NoError(t, err)

	_, err = killed.OpenFile("/d/new", os.O_CREATE|os.O_RDWR, 0o644)
	require.NoError(t, err)
	_, err = m.Stat("/d/new")
	require.ErrorIs(t, err, fs.ErrNotExist, "a clone is independent")
}

func TestCrashBeforeSyncDirUndoesARename(t *testing.T) {
	m := NewMem()
	require.NoError(t, put(t, m, "/a", "old").Sync())
	require.NoError(t, m.SyncDir("/"))
	require.NoError(t, put(t, m, "/a.tmp", "new").Sync())
	require.NoError(t, m.Rename("/a.tmp", "/a"))
	seen := map[string]bool{}
	for seed := range uint64(64) {
		data, err := m.CrashClone(CrashOptions{Unsynced: KeepRandom, Seed: seed}).ReadFile("/a")
		require.NoError(t, err)
		seen[string(data)] = true
	}
	require.Equal(t, map[string]bool{"old": true, "new": true}, seen, "one or the other, never neither")
	require.NoError(t, m.SyncDir("/"))
	data, err := m.CrashClone(CrashOptions{}).ReadFile("/a")
	require.NoError(t, err)
	require.Equal(t, "new", string(data))
}

func TestRandomCrashTearsTheLastWriteAndIsReproducible(t *testing.T) {
	m := NewMem()
	f := put(t, m, "/a", "0123456789")
	require.NoError(t, m.SyncDir("/"))
	_, err := f.WriteAt([]byte("abcdefghij"), 10)
	require.NoError(t, err)
	lengths := map[int]bool{}
	for seed := range uint64(200) {
		o := CrashOptions{Unsynced: KeepRandom, Seed: seed}
		data, err := m.CrashClone(o).ReadFile("/a")
		require.NoError(t, err)
		again, err := m.CrashClone(o).ReadFile("/a")
		require.NoError(t, err)
		require.Equal(t, data, again)
		require.Equal(t, "0123456789abcdefghij"[:len(data)], string(data), "a prefix")
		lengths[len(data)] = true
	}
	require.Greater(t, len(lengths), 10)
}

func TestTruncatedBytesDoNotComeBack(t *testing.T) {
	m := NewMem()
	f := put(t, m, "/a", "secret")
	require.NoError(t, f.Sync())
	require.NoError(t, m.SyncDir("/"))
	require.NoError(t, f.Truncate(0))
	require.NoError(t, f.Truncate(6))
	require.NoError(t, f.Sync())
	data, err := m.CrashClone(CrashOptions{}).ReadFile("/a")
	require.NoError(t, err)
	require.Equal(t, make([]byte, 6), data)
}

func TestFaultyFailsTheNthOperation(t *testing.T) {
	broken := errors.New("broken disk")
	m := NewMem()
	fsys := Faulty(m, FailNth(OpWrite, "a", 2, false, broken))
	f := put(t, fsys, "/a", "one")
	require.NoError(t, put(t, fsys, "/b", "other file").Close())
	_, err := f.WriteAt([]byte("two"), 0)
	require.ErrorIs(t, err, broken)
	_, err = f.WriteAt([]byte("six"), 0)
	require.NoError(t, err)

	sticky := Faulty(m, FailNth(OpSync, "", 1, true, broken))
	f, err = sticky.OpenFile("/a", os.O_RDWR, 0)
	require.NoError(t, err)
	require.ErrorIs(t, f.Sync(), broken)
	require.ErrorIs(t, f.Sync(), broken)

	torn := Faulty(m, FailNth(OpWrite, "", 1, false, ErrTorn))
	f, err = torn.OpenFile("/a", os.O_RDWR|os.O_TRUNC, 0)
	require.NoError(t, err)
	n, err := f.WriteAt([]byte("abcdef"), 0)
	require.ErrorIs(t, err, ErrTorn)
	require.Equal(t, 3, n)
	data, err := m.ReadFile("/a")
	require.NoError(t, err)
	require.Equal(t, "abc", string(data))
}

func TestRuleSeesEveryKindOfOperation(t *testing.T) {
	m := NewMem()
	var seen []Op
	var clones []*Mem
	fsys := Faulty(m, func(op Op, _ string, n int) error {
		require.Equal(t, 1, n)
		seen = append(seen, op)
		clones = append(clones, m.CrashClone(CrashOptions{Unsynced: KeepAll}))
		return nil
	})
	require.NoError(t, fsys.MkdirAll("/d", 0o755))
	f := put(t, fsys, "/d/a", "x")
	require.NoError(t, f.Truncate(0))
	require.NoError(t, f.Sync())
	require.NoError(t, fsys.Rename("/d/a", "/d/b"))
	require.NoError(t, fsys.SyncDir("/d"))
	_, err := f.ReadAt(make([]byte, 1), 0)
	require.ErrorIs(t, err, io.EOF)
	require.NoError(t, fsys.Remove("/d/b"))
	_, err = fsys.Lock("/d/.lock")
	require.NoError(t, err)
	require.Equal(t, []Op{OpMkdir, OpOpen, OpWrite, OpTruncate, OpSync, OpRename, OpSyncDir, OpRead, OpRemove, OpLock}, seen)
	_, err = clones[5].Stat("/d/a")
	require.NoError(t, err, "the clone is the moment before the rename")
}

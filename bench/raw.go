package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
)

// rawConn sends requests that were built before, and reads of the answers only what says whether they are
// good: what is left of the machine is the broker's.
type rawConn struct {
	net.Conn
	r *bufio.Reader
}

func dialRaw(addr string, readBuffer int) (*rawConn, error) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return &rawConn{c, bufio.NewReaderSize(c, readBuffer)}, nil
}

// answer reads one response and returns its first bytes, after the size, and how long it was.
func (c *rawConn) answer(head []byte) (n, size int, err error) {
	var length [4]byte
	if _, err := io.ReadFull(c.r, length[:]); err != nil {
		return 0, 0, err
	}
	size = int(binary.BigEndian.Uint32(length[:]))
	n = min(len(head), size)
	if _, err := io.ReadFull(c.r, head[:n]); err != nil {
		return 0, 0, err
	}
	_, err = c.r.Discard(size - n)
	return n, size, err
}

// produceError is the error code in an answer to a produceFrame; topic is its name.
func produceError(answer []byte, topic string) error {
	at := 4 + 4 + 2 + len(topic) + 4 + 4
	if len(answer) < at+2 {
		return fmt.Errorf("produce answer of %d bytes", len(answer))
	}
	if code := int16(binary.BigEndian.Uint16(answer[at:])); code != 0 {
		return fmt.Errorf("produce: error code %d", code)
	}
	return nil
}

// exchange sends the same request count times on one connection with at most window of them unanswered.
func (c *rawConn) exchange(request []byte, count, window int, check func(answer []byte) error) error {
	if window == 1 {
		return c.lockstep(request, count, check)
	}
	slots := make(chan struct{}, window)
	failed := make(chan error, 1)
	go func() {
		head := make([]byte, 256)
		for range count {
			n, _, err := c.answer(head)
			if err == nil {
				err = check(head[:n])
			}
			if err != nil {
				failed <- err
				return
			}
			<-slots
		}
		failed <- nil
	}()
	for range count {
		select {
		case slots <- struct{}{}:
		case err := <-failed:
			return err
		}
		if _, err := c.Write(request); err != nil {
			return errors.Join(err, c.Close(), <-failed)
		}
	}
	return <-failed
}

func (c *rawConn) lockstep(request []byte, count int, check func(answer []byte) error) error {
	head := make([]byte, 256)
	for range count {
		if _, err := c.Write(request); err != nil {
			return err
		}
		n, _, err := c.answer(head)
		if err == nil {
			err = check(head[:n])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// exchangeOn shares count requests between connections.
func exchangeOn(addr string, connections, count, window int, request []byte, check func([]byte) error) error {
	conns := make([]*rawConn, connections)
	for i := range conns {
		c, err := dialRaw(addr, 16<<10)
		if err != nil {
			return err
		}
		defer c.Close()
		conns[i] = c
	}
	var (
		wg    sync.WaitGroup
		first atomic.Pointer[error]
	)
	for _, c := range conns {
		wg.Go(func() {
			if err := c.exchange(request, count/connections, window, check); err != nil {
				first.CompareAndSwap(nil, &err)
			}
		})
	}
	wg.Wait()
	if err := first.Load(); err != nil {
		return *err
	}
	return nil
}

// fetchAll reads at least total bytes of records of a topic's partition 0 that holds batches of one size.
func fetchAll(addr, topic string, batchBytes, batchRecords int, size int32, total int64) (requests int, read int64, err error) {
	c, err := dialRaw(addr, 256<<10)
	if err != nil {
		return 0, 0, err
	}
	defer c.Close()
	request := fetchFrame(topic, 0, size)
	offsetAt := offsetPosition(request, topic)
	head := make([]byte, 256)
	recordsAt := 4 + 4 + 2 + 4 + 4 + 2 + len(topic) + 4 + 4 + 2 + 8 + 8 + 8 + 4 + 4
	for offset := int64(0); read < total; requests++ {
		binary.BigEndian.PutUint64(request[offsetAt:], uint64(offset))
		if _, err := c.Write(request); err != nil {
			return requests, read, err
		}
		n, _, err := c.answer(head)
		if err != nil {
			return requests, read, err
		}
		if n < recordsAt+4 {
			return requests, read, fmt.Errorf("fetch answer of %d bytes", n)
		}
		if code := int16(binary.BigEndian.Uint16(head[recordsAt-34:])); code != 0 {
			return requests, read, fmt.Errorf("fetch: error code %d", code)
		}
		records := int(binary.BigEndian.Uint32(head[recordsAt:]))
		whole := records / batchBytes
		if whole == 0 {
			return requests, read, fmt.Errorf("fetch at offset %d: %d bytes of records", offset, records)
		}
		offset += int64(whole * batchRecords)
		read += int64(records)
	}
	return requests, read, nil
}

// offsetPosition is where a fetchFrame has its offset: size 4, header 8 + client id, then the body.
func offsetPosition(request []byte, topic string) int {
	client := int(binary.BigEndian.Uint16(request[12:]))
	return 14 + client + 4 + 4 + 4 + 4 + 1 + 4 + 4 + 4 + 2 + len(topic) + 4 + 4 + 4
}

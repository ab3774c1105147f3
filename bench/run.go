package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// environment is what cells need beside a contender.
type environment struct {
	options
	processors float64
	topics     int
}

// topic is a name that was not used before.
func (e *environment) topic() string {
	e.topics++
	return fmt.Sprintf("bench%d", e.topics)
}

func benchmark(o options) error {
	e := &environment{options: o, processors: float64(runtime.NumCPU())}
	if err := os.MkdirAll(o.dir, 0o755); err != nil {
		return err
	}
	var list []*contender
	for _, name := range o.contenders {
		c, err := newContender(name, o)
		if err != nil {
			return err
		}
		list = append(list, c)
	}
	physical, err := newContender("bound", o)
	if err != nil {
		return err
	}
	r := newReport(e)
	began := time.Now()
	err = e.runAll(r, list, physical)
	r.Seconds = int(time.Since(began).Seconds())
	for _, c := range append(list, physical) {
		err = errors.Join(err, c.stop())
		if err == nil && c.dir != "" {
			err = c.remove()
		}
	}
	return errors.Join(err, r.save(o.out))
}

// runAll runs the cells that share running brokers first, and then those that start their own.
func (e *environment) runAll(r *report, list []*contender, physical *contender) error {
	var shared, fresh []cell
	for _, c := range append(cells(), growthCells()...) {
		switch {
		case !e.cells.MatchString(c.name) || c.long && !e.full || c.rdkafka && !e.hasRdkafka():
		case c.fresh:
			fresh = append(fresh, c)
		default:
			shared = append(shared, c)
		}
	}
	if len(shared) > 0 {
		for _, c := range append(slices.Clone(list), physical) {
			if _, err := c.start(e.dir); err != nil {
				return err
			}
			if err := e.heatUp(c); err != nil {
				return fmt.Errorf("warming %s: %w", c.name, err)
			}
		}
		if e.profile != "" {
			return e.profileAll(shared, list[0])
		}
		for i := range shared {
			e.pairs(r, &shared[i], list, physical)
		}
		for _, c := range append(slices.Clone(list), physical) {
			if err := errors.Join(c.stop(), c.remove()); err != nil {
				return err
			}
		}
	}
	for i := range fresh {
		e.pairs(r, &fresh[i], list, physical)
	}
	return r.failed()
}

// heatUp gives Kafka's compiler what it needs; the others get a tenth of it.
func (e *environment) heatUp(c *contender) error {
	if c.name == "bound" {
		return nil
	}
	most := e.heat
	if c.name != "kafka" {
		most /= 10
	}
	fmt.Fprintf(os.Stderr, "warming %s for %s\n", c.name, most)
	load := []func(*contender, *environment) (values, usage, error){
		rawProduce(1000, 1024, 3*gb/10, 5), rawProduce(16, 1000, gb/10, 5), oneRecord(64, 12_800, nil), oneRecord(1, 2_000, nil),
		rawFetch(4*mib, gb), metadataRequests(64, 12_800), franzProduce(1024, 200_000), franzConsume(1024, 200_000),
		oneRecord(64, 3_200, []string{"flush.messages=1"}),
	}
	for end := time.Now().Add(most); time.Now().Before(end); {
		for _, f := range load {
			if _, _, err := f(c, e); err != nil {
				return err
			}
		}
	}
	return nil
}

// pairs runs one cell and keeps what it gave. A cell that fails does not keep the others from running.
func (e *environment) pairs(r *report, c *cell, list []*contender, physical *contender) {
	row := r.row(c)
	if err := e.inTurn(row, c, list, physical); err != nil {
		row.Error = err.Error()
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
	if err := r.keep(e.out); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
}

func (e *environment) inTurn(row *row, c *cell, list []*contender, physical *contender) error {
	n := e.options.pairs
	if c.pairs > 0 {
		n = min(n, c.pairs)
	}
	for pair := range n {
		who := list
		if c.bound {
			who = append(slices.Clone(list), physical)
		}
		for _, b := range who {
			if b.name == "kfake" && !c.kfake {
				continue
			}
			if err := warmMemory(e.dir, c.bytes); err != nil {
				return err
			}
			awaitQuiet(e.quietWait)
			v, u, err := c.run(b, e)
			if err != nil {
				return fmt.Errorf("%s, %s, run %d: %w", c.name, b.name, pair+1, err)
			}
			row.add(b.name, v, u)
			fmt.Fprintf(os.Stderr, "%-46s %d %-10s %s\n", c.name, pair+1, b.name, line(v, u))
		}
	}
	return nil
}

// line is one run for the terminal.
func line(v values, u usage) string {
	var parts []string
	for _, m := range metricsOf(v) {
		parts = append(parts, fmt.Sprintf("%s %s", short(v[m]), m))
	}
	return strings.Join(parts, ", ") + fmt.Sprintf(" (foreign CPU %.0f %%)", u.foreign*100)
}

// warmMemory writes and deletes a file: on a virtual machine memory that was freed long ago has to be given
// back by the host first, which costs more than all else.
func warmMemory(dir string, bytes int64) error {
	if bytes == 0 {
		return nil
	}
	path := filepath.Join(dir, "warm")
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	piece := make([]byte, 256*kib)
	for bytes > 0 && err == nil {
		_, err = f.Write(piece)
		bytes -= int64(len(piece))
	}
	return errors.Join(err, f.Close(), os.Remove(path))
}

// spread writes one record into each of the partitions of topics that createMany made.
func spread(c *contender, topics []string, partitions int) error {
	return withClient(c, func(cl *kgo.Client) error {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		records := make([]*kgo.Record, partitions)
		for i := range records {
			records[i] = &kgo.Record{Topic: topics[i/mostAtOnce], Partition: int32(i % mostAtOnce), Value: []byte("x")}
		}
		return cl.ProduceSync(ctx, records...).FirstErr()
	}, kgo.RecordPartitioner(kgo.ManualPartitioner()))
}

// commit names the tree that was measured.
func commit(root string) string {
	out, err := exec.Command("git", "-C", root, "describe", "--always", "--dirty").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

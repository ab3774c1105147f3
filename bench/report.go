package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// report is what a run keeps, as JSON.
type report struct {
	Date       string   `json:"date"`
	Commit     string   `json:"commit"`
	Machine    string   `json:"machine"`
	Java       string   `json:"java,omitempty"`
	Contenders []string `json:"contenders"`
	Seconds    int      `json:"seconds"`
	Rows       []*row   `json:"rows"`
}

// row is a cell's runs.
type row struct {
	Cell  string `json:"cell"`
	Goals []goal `json:"-"`
	Runs  []run1 `json:"runs"`
	Error string `json:"error,omitempty"` // why it has fewer runs than it should
}

// run1 is one run of one contender.
type run1 struct {
	Contender string  `json:"contender"`
	Values    values  `json:"values"`
	Foreign   float64 `json:"foreign"` // share of the machine's CPU
}

// disturbed marks runs in which others took more than this share of the machine.
const disturbed = 0.2

func newReport(e *environment) *report {
	var u unix.Utsname
	_ = unix.Uname(&u)
	r := &report{
		Date: time.Now().UTC().Format(time.RFC3339), Commit: commit(e.root), Contenders: e.contenders,
		Machine: fmt.Sprintf("%s %s, %d processors, %s, %s", unix.ByteSliceToString(u.Sysname[:]), unix.ByteSliceToString(u.Release[:]),
			runtime.NumCPU(), congestionControl, runtime.Version()),
	}
	if slices.Contains(e.contenders, "kafka") {
		if out, err := exec.Command("java", "-version").CombinedOutput(); err == nil {
			r.Java = strings.SplitN(string(out), "\n", 2)[0] + ", Apache Kafka 4.4.0, -Xms1g -Xmx1g, G1"
		}
	}
	return r
}

func (r *report) row(c *cell) *row {
	w := &row{Cell: c.name, Goals: c.goals}
	r.Rows = append(r.Rows, w)
	return w
}

func (w *row) add(contender string, v values, u usage) {
	w.Runs = append(w.Runs, run1{contender, v, u.foreign})
}

// of are a contender's values of a metric, in the order of the runs.
func (w *row) of(contender, metric string) []float64 {
	var list []float64
	for _, r := range w.Runs {
		if v, ok := r.Values[metric]; ok && r.Contender == contender {
			list = append(list, v)
		}
	}
	return list
}

func median(list []float64) float64 {
	if len(list) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(list))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// ratio is the median of the paired ratios.
func ratio(ours, theirs []float64) float64 {
	var list []float64
	for i := range min(len(ours), len(theirs)) {
		if theirs[i] != 0 {
			list = append(list, ours[i]/theirs[i])
		}
	}
	return median(list)
}

// metricsOf in the order of the table: what is compared first.
func metricsOf(v values) []string {
	order := []string{cpuPerGB, perRequest, throughput, recordRate, requestRate, p50, p99, p999, perRecord, startMs, memory, perConn, idleCPU, createTime, spreadTime, restartMs, killedMs, clientCPU}
	var list []string
	for _, m := range order {
		if _, ok := v[m]; ok {
			list = append(list, m)
		}
	}
	return list
}

func short(x float64) string {
	switch {
	case x == 0:
		return "0"
	case x >= 100:
		return fmt.Sprintf("%.0f", x)
	case x >= 10:
		return fmt.Sprintf("%.1f", x)
	case x >= 1:
		return fmt.Sprintf("%.2f", x)
	}
	return fmt.Sprintf("%.3f", x)
}

func spreadOf(list []float64) string {
	if len(list) == 0 {
		return "–"
	}
	if len(list) == 1 {
		return short(list[0])
	}
	return fmt.Sprintf("%s (%s–%s)", short(median(list)), short(slices.Min(list)), short(slices.Max(list)))
}

// failed names the cells that did.
func (r *report) failed() error {
	var all error
	for _, w := range r.Rows {
		if w.Error != "" {
			all = errors.Join(all, errors.New(w.Error))
		}
	}
	return all
}

// save prints the table, and keeps it.
func (r *report) save(path string) error {
	if len(r.Rows) == 0 {
		return nil
	}
	fmt.Print(r.markdown())
	return r.keep(path)
}

// keep writes the JSON, the table and the plot.
func (r *report) keep(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	text, err := json.MarshalIndent(r, "", " ")
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(path+".json", append(text, '\n'), 0o644),
		os.WriteFile(path+".md", []byte(r.markdown()), 0o644), os.WriteFile(path+".svg", []byte(r.plot()), 0o644))
}

// reprint makes table and plot anew from a kept run.
func reprint(args []string) error {
	if len(args) != 1 {
		return errors.New("report FILE.json")
	}
	text, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	r := &report{}
	if err := json.Unmarshal(text, r); err != nil {
		return err
	}
	for _, c := range append(cells(), growthCells()...) {
		for _, w := range r.Rows {
			if w.Cell == c.name {
				w.Goals = c.goals
			}
		}
	}
	return r.save(strings.TrimSuffix(args[0], ".json"))
}

// markdown is the table: a line for each cell and metric, ours first.
func (r *report) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s, commit %s\n\n%s. %s. %d s in all.\n\n", r.Date, r.Commit, r.Machine, r.Java, r.Seconds)
	b.WriteString("Median (least–most) of the runs; the ratio is the median of the pairs' ratios, first contender to second. ")
	fmt.Fprintf(&b, "✗n: in n runs others used more than %.0f %% of the machine.\n\n", disturbed*100)
	names, versus := slices.Clone(r.Contenders), ""
	if len(names) > 1 {
		versus = names[1]
	}
	for _, extra := range []string{"bound"} {
		if slices.ContainsFunc(r.Rows, func(w *row) bool { return len(w.of(extra, cpuPerGB)) > 0 }) {
			names = append(names, extra)
		}
	}
	fmt.Fprintf(&b, "| cell | metric | %s | ratio | target | |\n|---|---|%s---|---|---|\n", strings.Join(names, " | "), strings.Repeat("---|", len(names)))
	for _, w := range r.Rows {
		w.lines(&b, names, versus)
	}
	return b.String()
}

func (w *row) lines(b io.Writer, names []string, versus string) {
	if len(w.Runs) == 0 {
		return
	}
	for i, m := range metricsOf(w.Runs[0].Values) {
		label := ""
		if i == 0 {
			label = w.Cell + w.disturbedRuns()
		}
		fmt.Fprintf(b, "| %s | %s |", label, m)
		for _, n := range names {
			fmt.Fprintf(b, " %s |", spreadOf(w.of(n, m)))
		}
		x := "–"
		if r := ratio(w.of(names[0], m), w.of(versus, m)); r != 0 {
			x = short(r)
		}
		target, verdict := w.verdict(names[0], m)
		fmt.Fprintf(b, " %s | %s | %s |\n", x, target, verdict)
	}
}

func (w *row) disturbedRuns() string {
	n := 0
	for _, r := range w.Runs {
		if r.Foreign > disturbed {
			n++
		}
	}
	if n == 0 {
		return ""
	}
	return fmt.Sprintf(" ✗%d", n)
}

// verdict holds a metric against its goal.
func (w *row) verdict(name, metric string) (target, verdict string) {
	for _, g := range w.Goals {
		if g.metric != metric {
			continue
		}
		ours, kafka := w.of(name, metric), w.of("kafka", metric)
		sign, met := "≤ ", true
		holds := func(x, limit float64) {
			if higherIsBetter[metric] {
				met = met && x >= limit
			} else {
				met = met && x <= limit
			}
		}
		if higherIsBetter[metric] {
			sign = "≥ "
		}
		var parts []string
		if g.ratio != 0 && len(kafka) > 0 {
			parts = append(parts, "ratio "+sign+short(g.ratio))
			holds(ratio(ours, kafka), g.ratio)
		}
		if g.absolute != 0 {
			parts = append(parts, sign+short(g.absolute))
			holds(median(ours), g.absolute)
		}
		if limit := w.of("bound", metric); g.ofBound != 0 && len(limit) > 0 {
			parts = append(parts, fmt.Sprintf("%s%s × bound", sign, short(g.ofBound)))
			holds(ratio(ours, limit), g.ofBound)
		}
		if len(parts) == 0 {
			return "", ""
		}
		if met {
			return strings.Join(parts, ", "), "met"
		}
		return strings.Join(parts, ", "), "**missed**"
	}
	return "", ""
}

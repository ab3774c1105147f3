// Command bench measures Mini Kafka beside Apache Kafka: in a network namespace of its own, with one
// congestion control for all, on one device, with the same properties, with memory warmed before every run,
// in turn A B A B. README.md says what a cell is and how to read the table.
//
//	bench [-pairs 5] [-cells REGEXP] [-full] [-contenders minikafka,kafka] [-out results/NAME]
//	bench report FILE.json     print the table of an earlier run
//
// Two more commands are for itself: "bound" and "kfake" are brokers that it starts.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) > 0 {
		switch args[0] {
		case "bound":
			return serveBound(args[1:])
		case "kfake":
			return serveKfake(args[1:])
		case "report":
			return reprint(args[1:])
		}
	}
	o, err := parse(args)
	if err != nil {
		return err
	}
	if os.Getenv(insideEnv) == "" {
		if err := fetchKafka(o); err != nil { // there is no network inside
			return err
		}
		buildRdkafka(o)
		return enterNamespace()
	}
	if err := prepareNamespace(); err != nil {
		return err
	}
	return benchmark(o)
}

// options are the flags of a run.
type options struct {
	pairs      int
	cells      *regexp.Regexp
	full       bool
	contenders []string
	binary     string // of minikafka
	root       string // of the repository
	cache      string // Kafka's jars
	dir        string // data of the brokers
	out        string // results without suffix
	heat       time.Duration
	quietWait  time.Duration
	profile    string // directory for profiles of minikafka; "" for none
}

func parse(args []string) (options, error) {
	o := options{}
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.IntVar(&o.pairs, "pairs", 5, "runs of each cell and contender")
	cells := f.String("cells", ".", "`regexp` of the cells to run")
	f.BoolVar(&o.full, "full", false, "the long form: growth curves, more clients")
	contenders := f.String("contenders", "minikafka,kafka", "who runs, in turn (also: kfake)")
	f.StringVar(&o.root, "root", "..", "the repository")
	f.StringVar(&o.binary, "binary", "", "minikafka (default ROOT/bin/minikafka)")
	f.StringVar(&o.cache, "cache", "", "Apache Kafka's jars (default $KAFKA_CACHE or ROOT/compat-tests/.cache)")
	f.StringVar(&o.dir, "dir", "", "data of the brokers, on the disk to measure (default ROOT/bench/.data)")
	f.StringVar(&o.out, "out", "", "results without suffix (default ROOT/bench/results/DATE-COMMIT)")
	f.DurationVar(&o.heat, "heat", 30*time.Second, "mixed load for Apache Kafka's compiler before the first run")
	f.DurationVar(&o.quietWait, "quiet-wait", 20*time.Second, "how long a run waits for a quiet machine at most")
	f.StringVar(&o.profile, "profile", "", "`directory` for CPU, heap, mutex and block profiles of minikafka under each cell's load; nothing is compared then")
	if err := f.Parse(args); err != nil {
		return o, err
	}
	var err error
	if o.cells, err = regexp.Compile(*cells); err != nil {
		return o, err
	}
	o.contenders = strings.Split(*contenders, ",")
	if o.profile != "" {
		o.contenders = []string{"minikafka"}
	}
	if o.root, err = filepath.Abs(o.root); err != nil {
		return o, err
	}
	fallback := func(to *string, choices ...string) {
		for _, c := range choices {
			if *to == "" {
				*to = c
			}
		}
	}
	fallback(&o.binary, filepath.Join(o.root, "bin", "minikafka"))
	fallback(&o.cache, os.Getenv("KAFKA_CACHE"), filepath.Join(o.root, "compat-tests", ".cache"))
	fallback(&o.dir, filepath.Join(o.root, "bench", ".data"))
	fallback(&o.out, filepath.Join(o.root, "bench", "results", time.Now().Format("2006-01-02")+"-"+commit(o.root)))
	for _, p := range []*string{&o.binary, &o.cache, &o.dir, &o.out, &o.profile} {
		if *p == "" {
			continue
		}
		if *p, err = filepath.Abs(*p); err != nil {
			return o, err
		}
	}
	return o, nil
}

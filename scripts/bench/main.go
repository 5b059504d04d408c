// Command bench measures a mount beside the raw limit of the same server: each
// round runs all sides one after the other, so that a busy machine slows them
// alike, and the medians of all rounds are printed.
//
//	go run ./scripts/bench -scmfs bin/scmfs -dir /var/tmp/bench -rounds 5 sequential random listing
//
// It needs root, /dev/fuse and curl, and must not run on a file system of its
// own mount.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

// part is one thing to measure.
type part struct {
	name, about string
	run         func(ctx context.Context, e *env) error
}

func parts() []part {
	return []part{
		{"sequential", "read one large file, cold and warm, beside curl and a local file", sequential},
		{"random", "4 KiB cold reads by 1 and 8 jobs, beside a bare keep-alive client", random},
		{"listing", "ls -l and find of large directories, cold and warm, beside curl", listing},
		{"lists", "ls -l and find of large directories, beside loopback, disk and installed peers", lists},
		{"inodes", "memory for each known inode", inodes},
		{"write", "write one large file by 1 MiB until close returns: published beside curl, async beside the local disk", write},
		{"small", "create, write and close files of 4 KiB by 1 and 8 threads, beside a bare keep-alive client", small},
		{"writers", "many programs write at once, beside as many curls", writers},
		{"programs", "one large and many small files, beside loopback, disk and installed peers", programs},
		{"growth-size", "how cost grows with the size of a file, beside curl", growSize},
		{"growth-writers", "how cost grows with the number of programs that write at once, beside curl", growWriters},
		{"growth-files", "how cost grows with the files of a directory", growFiles},
		{"latency", "over links of 1 Gbit/s with 0 to 100 ms round trip, beside curl", latency},
		{"profiles", "where the mount's processor time and memory go on the five main paths", profiles},
		{"trees", "cp, rsync, tar, git and rm of a source tree, beside disk and installed peers", trees},
	}
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	e := &env{report: &report{}}
	markdown := ""
	flag.StringVar(&e.binary, "scmfs", "bin/scmfs", "binary to measure, built without the race detector")
	flag.StringVar(&e.dir, "dir", "", "directory for the server and the mount, on a local disk (required)")
	flag.StringVar(&e.listen, "listen", "127.0.0.1:21080", "address of the server")
	flag.StringVar(&e.http, "http", "127.0.0.1:21081", "address of the mount's metrics")
	flag.IntVar(&e.rounds, "rounds", 5, "how often each side runs")
	flag.Int64Var(&e.size, "size", 1<<30, "bytes of the large file")
	flag.IntVar(&e.ops, "ops", 2000, "random reads of each job")
	flag.IntVar(&e.treeFiles, "tree-files", 5000, "files of the source tree")
	loop := flag.String("loopback", "", "serve go-fuse's loopback of this directory at -dir instead (the benchmark starts itself so)")
	passthrough := flag.Bool("passthrough", false, "with -loopback: let the kernel pass reads and writes through")
	flag.StringVar(&e.counts, "files", "10000,100000", "files in the directories of the parts listing, lists, inodes and growth-files")
	flag.StringVar(&e.sizes, "sizes", "1,4,16,64,256,1024,4096", "MiB of the files of the part growth-size")
	flag.Int64Var(&e.sparse, "sparse-from", 0, "from this many MiB on the files of the part growth-size are holes, which need no room on the local disk; 0: none are")
	flag.IntVar(&e.smallFiles, "small-files", 2000, "files of the part small")
	flag.IntVar(&e.writers, "writers", 16, "programs of the part writers")
	flag.Int64Var(&e.writerSize, "writer-size", 128<<20, "bytes that each of them writes")
	flag.StringVar(&e.plots, "plots", "", "write the charts of growth and latency to this directory")
	flag.StringVar(&e.profiles, "profiles", "", "write the tables of the part profiles into this file, between their marks")
	flag.StringVar(&markdown, "markdown", "", "append the tables to this file")
	flag.StringVar(&e.fault, "fault", "", `fault of the server, such as "delay=5ms@GET /files/*"`)
	flag.StringVar(&e.extra, "mount-flags", "", "more flags of scmfs mount, separated by blanks")
	flag.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: bench -scmfs BINARY -dir DIR PART...")
		for _, p := range parts() {
			fmt.Fprintf(os.Stderr, "  %-12s %s\n", p.name, p.about)
		}
		flag.PrintDefaults()
	}
	flag.Parse()
	if *loop != "" {
		return serveLoopback(*loop, e.dir, *passthrough)
	}
	if e.dir == "" || flag.NArg() == 0 || e.rounds < 1 {
		flag.Usage()
		return fmt.Errorf("-dir and at least one part are required")
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	e.report.head(e, os.Args[1:])
	var err error
	for _, name := range flag.Args() {
		i := slices.IndexFunc(parts(), func(p part) bool { return p.name == name })
		if i < 0 {
			err = fmt.Errorf("no part %q", name)
			break
		}
		fmt.Printf("== %s: %s\n", name, parts()[i].about)
		e.report.part(parts()[i])
		if err = e.with(ctx, parts()[i].run); err != nil {
			err = fmt.Errorf("%s: %w", name, err)
			break // what was measured until then is kept
		}
	}
	if markdown != "" {
		err = errors.Join(err, e.report.save(markdown))
	}
	return err
}

// table collects figures of several rounds and prints their medians.
type table struct {
	unit  string
	names []string
	rows  map[string][]float64
}

func newTable(unit string) *table { return &table{unit: unit, rows: map[string][]float64{}} }

func (t *table) add(name string, v float64) {
	if _, ok := t.rows[name]; !ok {
		t.names = append(t.names, name)
	}
	t.rows[name] = append(t.rows[name], v)
}

// only is the table of some of the sides.
func (t *table) only(names ...string) *table { return &table{t.unit, names, t.rows} }

// print writes the medians, each as a share of the side called base.
func (t *table) print(base string) {
	for _, name := range t.names {
		m := median(t.rows[name])
		fmt.Printf("  %-34s %12.2f %-8s", name, m, t.unit)
		if b := median(t.rows[base]); base != "" && b > 0 {
			fmt.Printf(" %5.2f x %s", m/b, base)
		}
		var all []string
		for _, v := range t.rows[name] {
			all = append(all, fmt.Sprintf("%.5g", v))
		}
		fmt.Printf("   [%s]\n", strings.Join(all, " "))
	}
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

package integration

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"time"
)

// loadEnv makes the test binary one of the programs of TestLoadMixed: its value is
// a loadJob.
const loadEnv = "SCMFS_LOAD_WORKER"

// loadJob is what one of many programs does at the same time as the others.
type loadJob struct {
	Dir   string // the directory that they share
	N     int
	Until time.Time
}

// loadDone is what it did. Faults are what must not happen.
type loadDone struct {
	Written, Read, Files, Rewritten, Others, Gone, Removed int64
	Faults                                                 []string
}

// loadWorker writes files into a directory of its own, whose names have the
// checksum of the content, and reads them and those of the others.
type loadWorker struct {
	loadJob
	loadDone
	r    *rand.Rand
	dir  string
	seq  int
	mine []string          // paths by checksum
	over map[string]string // of those that are written again: the checksum
	made map[string]int    // and how many versions
}

// keep is how many files a worker has of each sort.
const keep = 6

func loadMain() {
	w := &loadWorker{over: map[string]string{}, made: map[string]int{}}
	if err := json.Unmarshal([]byte(os.Getenv(loadEnv)), &w.loadJob); err != nil {
		w.fault("job", err)
	} else {
		w.run()
	}
	_ = json.NewEncoder(os.Stdout).Encode(w.loadDone)
}

func (w *loadWorker) run() {
	w.r = rand.New(rand.NewPCG(uint64(w.N), 1))
	w.dir = filepath.Join(w.Dir, fmt.Sprintf("w%02d", w.N))
	if err := os.MkdirAll(w.dir, 0o755); err != nil {
		w.fault("mkdir", err)
	}
	for len(w.Faults) < 10 && time.Now().Before(w.Until) {
		switch n := w.r.IntN(10); {
		case n < 3:
			w.write()
		case n < 5:
			w.rewrite()
		case n < 7:
			w.readMine()
		default:
			w.readOthers()
		}
	}
	for _, p := range w.mine {
		w.check(p, sumInName(p))
	}
	for p, sum := range w.over {
		w.check(p, sum)
	}
}

func (w *loadWorker) fault(what string, err error) {
	w.Faults = append(w.Faults, fmt.Sprintf("worker %d: %s: %v", w.N, what, err))
}

// size is mostly small; one file in twenty needs several increments.
func (w *loadWorker) size() int64 {
	top := []int64{1, 4 << 10, 4 << 10, 64 << 10, 256 << 10, 4 * mib}[w.r.IntN(6)]
	if w.r.IntN(20) == 0 {
		top = 40 * mib
	}
	return w.r.Int64N(top)
}

// put writes content in pieces, as programs do.
func (w *loadWorker) put(path string) (sum string, ok bool) {
	b := bytesOf(uint64(w.N)<<20|uint64(w.seq), w.size())
	w.seq++
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		w.fault("open "+path, err)
		return "", false
	}
	for rest := b; len(rest) > 0 && err == nil; {
		n := min(len(rest), 1+w.r.IntN(256<<10))
		_, err = f.Write(rest[:n])
		rest = rest[n:]
	}
	if err == nil && w.r.IntN(4) == 0 {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		w.fault(fmt.Sprintf("writing %d bytes to %s", len(b), path), err)
		return "", false
	}
	w.Written += int64(len(b))
	return sumOf(b), true
}

// write makes a file under another name first: nobody sees a name with a checksum
// before the content is whole. Every other one is of a name that is not published.
func (w *loadWorker) write() {
	other := filepath.Join(w.dir, fmt.Sprintf("new%d.%s", w.seq, []string{"part", "data"}[w.r.IntN(2)]))
	sum, ok := w.put(other)
	if !ok {
		return
	}
	p := filepath.Join(w.dir, fmt.Sprintf("%s-%d", sum, w.seq))
	if err := os.Rename(other, p); err != nil {
		w.fault("rename to "+p, err)
		return
	}
	w.Files++
	if w.mine = append(w.mine, p); len(w.mine) > keep {
		w.remove(w.mine[0])
		w.mine = w.mine[1:]
	}
}

// rewrite makes one more version; after a few the file and its history go.
func (w *loadWorker) rewrite() {
	p := filepath.Join(w.dir, fmt.Sprintf("again%d", w.r.IntN(keep)))
	if w.made[p] == keep {
		w.remove(p)
		delete(w.made, p)
		delete(w.over, p)
		return
	}
	if sum, ok := w.put(p); ok {
		w.over[p], w.made[p] = sum, w.made[p]+1
		w.Rewritten++
	}
}

func (w *loadWorker) remove(p string) {
	if err := os.Remove(p); err != nil {
		w.fault("remove", err)
	}
	w.Removed++
}

func (w *loadWorker) readMine() {
	if len(w.mine) > 0 {
		p := w.mine[w.r.IntN(len(w.mine))]
		w.check(p, sumInName(p))
	}
	for p, sum := range w.over {
		w.check(p, sum)
		break
	}
}

func (w *loadWorker) check(p, sum string) {
	b, err := os.ReadFile(p)
	w.Read += int64(len(b))
	if err != nil {
		w.fault("reading", err)
	} else if sumOf(b) != sum {
		w.fault("reading", fmt.Errorf("%s has %d bytes with checksum %s, not %s", p, len(b), sumOf(b), sum))
	}
}

// readOthers reads a file of another one, which may be removed at any moment.
func (w *loadWorker) readOthers() {
	dirs, err := os.ReadDir(w.Dir)
	if err != nil || len(dirs) == 0 {
		w.fault(fmt.Sprintf("listing, %d", len(dirs)), err)
		return
	}
	dir := filepath.Join(w.Dir, dirs[w.r.IntN(len(dirs))].Name())
	names, err := os.ReadDir(dir)
	if err != nil {
		w.fault("listing", err)
		return
	}
	w.r.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	for _, d := range names {
		p := filepath.Join(dir, d.Name())
		sum := sumInName(p)
		if sum == "" {
			continue
		}
		b, err := os.ReadFile(p)
		w.Read += int64(len(b))
		switch {
		case err != nil:
			if _, gone := os.Lstat(p); !errors.Is(gone, syscall.ENOENT) {
				w.fault("reading another's", err)
			}
			w.Gone++
		case sumOf(b) != sum:
			w.fault("reading another's", fmt.Errorf("%s has %d bytes with checksum %s", p, len(b), sumOf(b)))
		default:
			w.Others++
		}
		return
	}
}

var summed = regexp.MustCompile(`^([0-9a-f]{32})-\d+$`)

// sumInName is the checksum that a name promises, "" if it promises none.
func sumInName(p string) string {
	m := summed.FindStringSubmatch(filepath.Base(p))
	if m == nil {
		return ""
	}
	return m[1]
}

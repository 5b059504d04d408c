package fs

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/sequoiacm/scmfs/client"
)

// BenchmarkMerge makes a listing's names of a page of directories and files.
func BenchmarkMerge(b *testing.B) {
	const n = 1000
	dirs, files := make([]*client.Directory, n/10), make([]*client.File, n)
	for i := range dirs {
		dirs[i] = &client.Directory{ID: client.DirID(fmt.Sprint("d", i)), Name: fmt.Sprintf("f%07d-d", i*10)}
	}
	for i := range files {
		files[i] = testFile(fmt.Sprintf("f%07d", i), fmt.Sprint("id", i), 1)
	}
	b.ReportAllocs()
	for b.Loop() {
		k := 0
		for range mergeRows(slices.Values(dirs), slices.Values(files)) {
			k++
		}
		if k != len(dirs)+len(files) {
			b.Fatal(k)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(dirs)+len(files)), "ns/row")
}

// BenchmarkListing is what a directory of many files costs each operation on one
// of its names: the look whether it is there, and the change that follows.
func BenchmarkListing(b *testing.B) {
	for _, n := range []int{1000, 100_000} {
		names := make([]string, n)
		rows := make([]row, n)
		for i := range rows {
			names[i] = fmt.Sprintf("f%07d", i)
			rows[i] = row{name: names[i], file: testFile(names[i], names[i], 1)}
		}
		listed := func() *listing {
			fs := New(newMemStores(), nil, nil, Options{})
			b.Cleanup(fs.Close)
			return &listing{ws: &workspace{fs: fs, directories: true}, rows: slices.Clone(rows), at: time.Now(), until: time.Now().Add(time.Hour)}
		}
		b.Run(fmt.Sprint("known/", n), func(b *testing.B) {
			l := listed()
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, _, ok := l.known(names[i%n]); !ok {
					b.Fatal(names[i%n])
				}
			}
		})
		b.Run(fmt.Sprint("create and remove/", n), func(b *testing.B) {
			l := listed()
			made := make([]*client.File, 20_000)
			for i := range made {
				made[i] = testFile(fmt.Sprintf("f%07d+", i*7919%n), fmt.Sprint("new", i), 1)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				f := made[i%len(made)]
				if _, _, taken := l.known(f.Name); taken {
					b.Fatal("taken")
				}
				l.publish(f)
				l.drop(f.Name)
			}
		})
	}
}

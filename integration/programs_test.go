package integration

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// 8.1 A database that locks, syncs and rewrites in place, in each of its modes.
func TestDatabase(t *testing.T) {
	m := newMount(t, newServer(t))
	for _, mode := range []string{"delete", "truncate", "persist", "wal"} {
		db := m.ws("db-" + mode)
		out := sh(t, `sqlite3 %s "pragma journal_mode=%s; create table t(a integer primary key, b text);
			with recursive c(x) as (select 1 union all select x+1 from c where x<500) insert into t select x, hex(randomblob(200)) from c;
			update t set b='x' where a%%3=0; delete from t where a%%5=0; vacuum; pragma integrity_check"`, db, mode)
		assert.Equal(t, mode+"\nok\n", out)
		// A transaction that is rolled back, and one by another process.
		assert.Equal(t, "400\n401\nok\n", sh(t, `sqlite3 %s "begin; delete from t; rollback; select count(*) from t;
			insert into t(b) values('y'); select count(*) from t; pragma integrity_check"`, db))
	}
	assert.Equal(t, "db-delete\ndb-persist\ndb-truncate\ndb-wal\n", sh(t, "ls -A %s", m.ws()), "no journal is left")
}

// 8.2 A version control system: many small files, locks by O_EXCL, renames, mmap.
func TestGit(t *testing.T) {
	m := newMount(t, newServer(t))
	sh(t, `cd %s && export HOME=$PWD GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
		set -e
		git init -q repo && cd repo && mkdir d
		for i in $(seq 20); do echo "file $i" > d/f$i; done; head -c 2000000 /dev/urandom > big
		git add . && git commit -qm one && echo more >> d/f1 && git commit -qam two
		git gc -q && git fsck --full
		cd .. && git clone -q repo clone && diff -r repo/d clone/d && cmp repo/big clone/big
		cd clone && echo x > new && git add new && git commit -qm three && git push -q origin HEAD:refs/heads/pushed
		git checkout -q HEAD~1 && test ! -e new && git merge -q origin/pushed && test -e new && test -z "$(git status --short)"`, m.ws())
	sh(t, "cd %s && rm -rf repo clone && test -z \"$(ls -A)\"", m.ws())
}

// 8.3 rsync in its modes.
func TestRsyncModes(t *testing.T) {
	m := newMount(t, newServer(t))
	src := sourceTree(t)
	sh(t, "mkfifo %s/fifo && setfattr -n user.note -v x %s/f5 && touch -d '2001-02-03 04:05:06.789' %s/sub", src, src, src)
	dst := m.ws("r")
	sh(t, "rsync -aX %s/ %s && diff -r --no-dereference %s/sub %s/sub", src, dst, src, dst)
	assert.Empty(t, sh(t, "rsync -aXi %s/ %s", src, dst), "a second run sends nothing")
	assert.Empty(t, sh(t, "rsync -aXci --delete -n %s/ %s", src, dst), "the checksums agree")
	sh(t, "rm %s/f9 && rsync -a --delete %s/ %s && test ! -e %s/f9 && test -e %s/f8", src, src, dst, dst, dst)
	id := func() string { return sh(t, "getfattr --absolute-names --only-values -n user.scm.id %s/big", dst) }
	first := id()
	sh(t, "echo tail >> %s/big && rsync -a --append %s/ %s && cmp %s/big %s/big", src, src, dst, src, dst)
	sh(t, "printf zzz | dd of=%s/big bs=1 seek=2500000 conv=notrunc 2>/dev/null && touch -d '+2 seconds' %s/big", src, src)
	out := sh(t, "rsync -a --inplace --no-whole-file --stats %s/ %s && cmp %s/big %s/big", src, dst, src, dst)
	assert.NotContains(t, out, "Matched data: 0 bytes", "unchanged blocks are not sent")
	assert.Equal(t, []string{"1.0", "2.0", "3.0"}, m.versions("r/big"))
	assert.Equal(t, first, id(), "both are versions of the same file")
	for _, mode := range []string{"--sparse", "--delay-updates", "--partial-dir=.p", "--backup --suffix=.bak"} {
		sh(t, "rsync -a %s %s/ %s && diff -r --no-dereference %s/sub %s/sub", mode, src, m.ws("other"), src, m.ws("other"))
	}
	assert.Empty(t, sh(t, "rsync -aXni --delete %s/ %s", dst, src), "and back")
	sh(t, "ln %s/f1 %s/hard", src, src)
	assert.Contains(t, fails(t, "rsync -aH %s/ %s", src, dst), "Operation not permitted", "hard links fail clearly")
}

// 8.4 Building a program.
func TestBuild(t *testing.T) {
	m := newMount(t, newServer(t))
	sh(t, `cd %s && mkdir tmp && printf 'module x\ngo 1.21\n' > go.mod && printf 'package main\nfunc main() { println("built") }\n' > main.go &&
		GOTMPDIR=$PWD/tmp GOFLAGS=-mod=mod go build -o prog .`, m.ws())
	assert.Equal(t, "built\n", sh(t, "%s 2>&1", m.ws("prog")), "a program runs from the mount")
	assert.Empty(t, sh(t, "ls -A %s", m.ws("tmp")))
}

// 8.5 Archives, and removing trees while they are read.
func TestArchives(t *testing.T) {
	m := newMount(t, newServer(t))
	src := sourceTree(t)
	sh(t, "rm %s/big && mkfifo %s/fifo && chown 7:8 %s/f6", src, src, src)
	sh(t, "mkdir %s && tar cf - -C %s . | tar xpf - -C %s && tar cf %s -C %s . && tar df %s -C %s",
		m.ws("t"), src, m.ws("t"), m.ws("t.tar"), m.ws("t"), m.ws("t.tar"), src)
	sh(t, "cd %s && tar czf t.tgz t && gzip -t t.tgz && mkdir z && tar xzf t.tgz -C z && diff -r --no-dereference z/t/sub t/sub", m.ws())
	stat := "stat -c '%%n %%a %%u %%g %%s %%Y %%F' f3 f4 f6 link fifo"
	assert.Equal(t, sh(t, "cd %s && "+stat, src), sh(t, "cd %s && "+stat, m.ws("t")))
	assert.Equal(t, "", strings.TrimSpace(sh(t, "cd %s && find t -type f -delete && find t -delete && rm -r z && ls -A | grep -v '^t.t'; true", m.ws())))
}

package torture

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"aorta/test/demo"

	"github.com/jackc/pgx/v5"
)

// Server is a PostgreSQL of a test's own, which may be killed. It needs Linux:
// PostgreSQL's processes are found in /proc.
type Server struct {
	t       testing.TB
	dir     string // its owner's
	bin     string
	port    string
	as      *syscall.Credential // nil: who we are; PostgreSQL refuses to be root's
	process *exec.Cmd
	ended   chan struct{}
}

// serverSettings: as in production, but for what only takes time at the start.
const serverSettings = `listen_addresses = '127.0.0.1'
max_connections = 100
shared_buffers = 64MB
fsync = on
synchronous_commit = on
full_page_writes = on
`

// NewServer makes a cluster and starts it. Where the machine has no PostgreSQL
// the test is skipped, which AORTA_TEST_ALL forbids.
func NewServer(t testing.TB) *Server {
	t.Helper()
	s := &Server{t: t, bin: postgresPrograms(t)}
	var err error
	// Not t.TempDir: that is closed to the server's owner.
	if s.dir, err = os.MkdirTemp("", "aorta-torture-postgres-"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Kill()
		if t.Failed() {
			t.Logf("PostgreSQL said: %s", tail(s.log(), 3000))
		}
		_ = os.RemoveAll(s.dir)
	})
	if os.Getuid() == 0 {
		s.as = owner(t)
		s.Own(s.dir)
	}
	init := s.program("initdb", "-D", s.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
	if out, err := init.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v: %s", err, out)
	}
	_, port, err := net.SplitHostPort(demo.FreeAddress(t))
	if err != nil {
		t.Fatal(err)
	}
	s.port = port
	settings := serverSettings + fmt.Sprintf("port = %s\nunix_socket_directories = '%s'\n", port, s.dir)
	f, err := os.OpenFile(filepath.Join(s.data(), "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString(settings)
		_ = f.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	return s
}

func postgresPrograms(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("initdb")
	if err != nil {
		found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
		if len(found) == 0 {
			if os.Getenv("AORTA_TEST_ALL") != "" {
				t.Fatal("there is no initdb")
			}
			t.Skip("there is no initdb")
		}
		path = slices.Max(found)
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		t.Fatal(err)
	}
	return filepath.Dir(path)
}

func owner(t testing.TB) *syscall.Credential {
	t.Helper()
	u, err := user.Lookup("postgres")
	if err != nil {
		t.Fatal(err)
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

// Own gives a directory to the server's owner.
func (s *Server) Own(dir string) {
	s.t.Helper()
	if s.as == nil {
		return
	}
	if err := os.Chown(dir, int(s.as.Uid), int(s.as.Gid)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func (s *Server) program(name string, args ...string) *exec.Cmd {
	c := exec.Command(filepath.Join(s.bin, name), args...)
	c.Dir = s.dir
	c.SysProcAttr = &syscall.SysProcAttr{Credential: s.as, Setpgid: true}
	return c
}

func (s *Server) log() string {
	raw, err := os.ReadFile(filepath.Join(s.dir, "log"))
	if err != nil {
		return err.Error()
	}
	return string(raw)
}

// Start starts the server and waits until it answers. What a killed one has
// left is put right by the server itself; one that meets leftovers of its
// predecessor's ends at once and is started again.
func (s *Server) Start() {
	s.t.Helper()
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); {
		if s.launch() {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	s.t.Fatalf("PostgreSQL does not start: %s", tail(s.log(), 3000))
}

func (s *Server) launch() bool {
	s.t.Helper()
	log, err := os.OpenFile(filepath.Join(s.dir, "log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	s.process = s.program("postgres", "-D", s.data())
	s.process.Stdout, s.process.Stderr = log, log
	if err := s.process.Start(); err != nil {
		s.t.Fatal(err)
	}
	process, ended := s.process, make(chan struct{})
	s.ended = ended
	go func() {
		_ = process.Wait()
		_ = log.Close()
		close(ended)
	}()
	for {
		select {
		case <-ended:
			return false
		case <-time.After(20 * time.Millisecond):
		}
		if s.answers() {
			return true
		}
	}
}

func (s *Server) answers() bool {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	c, err := pgx.Connect(ctx, s.url("postgres"))
	if err != nil {
		return false
	}
	_ = c.Close(ctx)
	return true
}

func (s *Server) url(database string) string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%s/%s?sslmode=disable", s.port, database)
}

// Exec runs a statement as the server's master.
func (s *Server) Exec(sql string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	c, err := pgx.Connect(ctx, s.url("postgres"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer c.Close(ctx)
	if _, err := c.Exec(ctx, sql); err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
}

// Database makes an empty database and gives its address; options are those of
// CREATE DATABASE.
func (s *Server) Database(name, options string) string {
	s.t.Helper()
	s.Exec("CREATE DATABASE " + name + " " + options)
	return s.url(name)
}

// Kill ends the server with all its processes, at once.
func (s *Server) Kill() {
	if s.process == nil {
		return
	}
	master := s.process.Process.Pid
	_ = syscall.Kill(master, syscall.SIGSTOP) // a child that it had begun meanwhile would live on, and keep the next one out
	family := children(master)
	_ = s.process.Process.Kill()
	for _, pid := range family {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	<-s.ended
	s.process = nil
}

// children lists the processes whose parent is pid.
func children(pid int) []int {
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	var out []int
	for _, path := range stats {
		raw, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		// pid (name) state parent …; the name may hold anything.
		_, rest, _ := strings.Cut(string(raw), ") ")
		fields := strings.Fields(rest)
		if len(fields) > 1 && fields[1] == strconv.Itoa(pid) {
			if n, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
				out = append(out, n)
			}
		}
	}
	return out
}

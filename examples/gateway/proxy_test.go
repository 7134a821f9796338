package main

import (
	"bytes"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/guildhall/guildhall/internal/testport"
)

// The proxies that the recipes are for.
var proxies = map[string]func(*street) string{"nginx": (*street).nginx, "caddy": (*street).caddy}

// behindEach runs a test behind each of them.
func behindEach(t *testing.T, do func(t *testing.T, s *street)) {
	for name, proxy := range proxies {
		t.Run(name, func(t *testing.T) { do(t, behind(t, proxy)) })
	}
}

// nginx starts nginx with nginx.conf. It inherits its listener, as in an upgrade of itself, so that it can be asked at
// once.
func (s *street) nginx() string {
	s.t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	defer listener.Close()
	inherited, err := listener.(*net.TCPListener).File()
	if err != nil {
		s.t.Fatal(err)
	}
	defer inherited.Close()
	dir := s.t.TempDir()
	conf := s.recipe("nginx.conf", dir, "@DIR@", dir, "@LISTEN@", listener.Addr().String(), "@GUILDHALL@", hostOf(s.guildhall),
		"@PRODUCT@", hostOf(s.inside), "@SECRET@", s.options.proxySecret)
	c := exec.Command(program(s.t, "nginx"), "-p", dir, "-c", conf, "-e", "stderr")
	c.Env, c.ExtraFiles = []string{"NGINX=3;"}, []*os.File{inherited}
	s.starts(c)
	return "http://" + listener.Addr().String()
}

// caddy starts Caddy with the Caddyfile. It calls back when it is ready, as for `caddy start`.
func (s *street) caddy() string {
	s.t.Helper()
	ready, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	defer ready.Close()
	port, dir := testport.Free(s.t), s.t.TempDir()
	c := exec.Command(program(s.t, "caddy"), "run", "--config", s.recipe("Caddyfile", dir), "--adapter", "caddyfile", "--pingback", ready.Addr().String())
	c.Env = append(os.Environ(), "GATEWAY_PORT="+port, "GUILDHALL_ADDR="+hostOf(s.guildhall), "PRODUCT_ADDR="+hostOf(s.inside),
		"GATEWAY_PROXY_SECRET="+s.options.proxySecret, "HOME="+dir)
	c.Stdin = strings.NewReader("ready")
	ended := s.starts(c)
	go func() { <-ended; ready.Close() }()
	called, err := ready.Accept()
	if err != nil {
		s.t.Fatalf("caddy has ended: %v", err)
	}
	called.Close()
	return "http://127.0.0.1:" + port
}

// recipe puts a copy of a proxy's configuration into a folder, with texts replaced. The test reads it itself, so that it
// runs again when the file has changed.
func (s *street) recipe(name, dir string, replaced ...string) string {
	s.t.Helper()
	source, err := os.ReadFile(name)
	if err != nil {
		s.t.Fatal(err)
	}
	made := filepath.Join(dir, name)
	if err := os.WriteFile(made, []byte(strings.NewReplacer(replaced...).Replace(string(source))), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return made
}

// starts starts a program that ends with the test at the latest, and says when it has ended.
func (s *street) starts(c *exec.Cmd) (ended chan struct{}) {
	s.t.Helper()
	var said bytes.Buffer
	c.Stdout, c.Stderr = &said, &said
	if err := c.Start(); err != nil {
		s.t.Fatal(err)
	}
	ended = make(chan struct{})
	go func() {
		defer close(ended)
		_ = c.Wait()
	}()
	s.t.Cleanup(func() {
		_ = c.Process.Signal(syscall.SIGTERM)
		<-ended
		if s.t.Failed() {
			s.t.Logf("%s: %s", c.Path, &said)
		}
	})
	return ended
}

// program finds a program. Debian has nginx where only root looks.
func program(t *testing.T, name string) string {
	t.Helper()
	for _, candidate := range []string{name, "/usr/sbin/" + name} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path
		}
	}
	t.Fatalf("%s is missing: scripts/install.sh installs it", name)
	return ""
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		panic(err)
	}
	return u.Host
}

package gateways_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// startNginx runs nginx in the foreground until the test ends.
func startNginx(t *testing.T, recipe, _ string) {
	t.Helper()
	dir := t.TempDir()
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;\n" // whom else could the workers become, in a folder of root's?
	}
	text := fmt.Sprintf(`%spid %[2]s/pid;
worker_processes 1;
error_log stderr notice;
events {}
http {
  access_log off;
  client_body_temp_path %[2]s/body; proxy_temp_path %[2]s/proxy; fastcgi_temp_path %[2]s/fastcgi; uwsgi_temp_path %[2]s/uwsgi; scgi_temp_path %[2]s/scgi;
%s
}
`, user, dir, recipe)
	config := write(t, dir, "nginx.conf", text)
	start(t, dir, "start worker process", program(t, "nginx", "/usr/sbin/nginx"), "-p", dir, "-e", "stderr", "-c", config, "-g", "daemon off;")
}

// startCaddy runs Caddy, without its administration and without certificates, until the test ends.
func startCaddy(t *testing.T, recipe, _ string) {
	t.Helper()
	dir := t.TempDir()
	config := write(t, dir, "Caddyfile", "{\n\tadmin off\n\tauto_https off\n}\n"+recipe)
	start(t, dir, "serving initial configuration", program(t, "caddy", "/usr/bin/caddy"), "run", "--config", config, "--adapter", "caddyfile")
}

func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// program finds a program, on the path or where Debian puts it. Without it the test fails: make test installs it.
func program(t *testing.T, name, otherwise string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	if _, err := os.Stat(otherwise); err != nil {
		t.Fatalf("%s is not installed: run scripts/install.sh", name)
	}
	return otherwise
}

// start runs a program at home in a folder until the test ends, and waits until it says that it is ready.
func start(t *testing.T, dir, ready, path string, args ...string) {
	t.Helper()
	command := exec.Command(path, args...)
	command.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	out, err := command.StderrPipe()
	if err == nil {
		err = command.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	said := bufio.NewScanner(out)
	said.Buffer(nil, 1<<20)
	ended := make(chan struct{})
	var log strings.Builder
	for said.Scan() {
		fmt.Fprintln(&log, said.Text())
		if strings.Contains(said.Text(), ready) {
			break
		}
	}
	if !strings.Contains(log.String(), ready) {
		_ = command.Wait()
		t.Fatalf("%s did not begin:\n%s", path, log.String())
	}
	go func() {
		defer close(ended)
		for said.Scan() {
			fmt.Fprintln(&log, said.Text())
		}
	}()
	t.Cleanup(func() {
		_ = command.Process.Signal(syscall.SIGTERM)
		<-ended
		_ = command.Wait()
		if t.Failed() {
			t.Logf("%s said:\n%s", path, log.String())
		}
	})
}

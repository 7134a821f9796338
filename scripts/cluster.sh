#!/usr/bin/env bash
# Three servers on one PostgreSQL behind nginx, on this machine: make cluster. Everything is thrown away when it ends.
set -euo pipefail
cd "$(dirname "$0")/.."

dir=$(mktemp -d /tmp/gh-cluster.XXXXXX)
port=${PORT:-8080}
pids=()
end() {
	for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
	wait || true
	rm -rf "$dir"
}
trap end EXIT
trap exit INT TERM

for i in 1 2 3; do
	./guildhall serve --addr "127.0.0.1:$((port + i))" --base-url "http://localhost:$port" --data-dir "$dir/$i" \
		--database "$GUILDHALL_TEST_POSTGRES" --secret-file "$dir/secret" --artifacts "file://$dir/files" \
		--trusted-proxies 127.0.0.1/32 --server-name "server-$i" >"$dir/$i.out" 2>"$dir/$i.log" &
	pids+=($!)
	until grep -q " at http" "$dir/$i.out" 2>/dev/null; do
		kill -0 "${pids[-1]}" || { cat "$dir/$i.log" >&2; exit 1; }
		sleep 0.1
	done
done

cat >"$dir/nginx.conf" <<NGINX
daemon off;
pid $dir/nginx.pid;
error_log $dir/nginx.log;
events {}
http {
  access_log off;
  client_body_temp_path $dir/body; proxy_temp_path $dir/proxy; fastcgi_temp_path $dir/f; uwsgi_temp_path $dir/u; scgi_temp_path $dir/s;
  upstream guildhall { server 127.0.0.1:$((port + 1)); server 127.0.0.1:$((port + 2)); server 127.0.0.1:$((port + 3)); }
  server {
    listen 127.0.0.1:$port;
    add_header X-Served-By \$upstream_addr;
    location / {
      proxy_pass http://guildhall;
      proxy_buffering off;
      proxy_set_header Host \$http_host;
      proxy_set_header X-Forwarded-For \$proxy_add_x_forwarded_for;
    }
  }
}
NGINX
nginx -c "$dir/nginx.conf" 2>"$dir/nginx.log" &
pids+=($!)

cat <<TEXT
Three servers on one PostgreSQL, behind nginx at http://localhost:$port (each by itself at $((port + 1)), $((port + 2)) and $((port + 3))).
$(sed -n 2,3p "$dir/1.out")
Who is there:        ./guildhall replicas list --data $dir/1
A service key:       ./guildhall service-keys create product --data $dir/2
Watch it die:        GUILDHALL_KEY=... ./guildhall watch-key http://127.0.0.1:$((port + 1)) http://127.0.0.1:$((port + 2)) http://127.0.0.1:$((port + 3))
                     and meanwhile   ./guildhall service-keys revoke KEY --data $dir/3
Stop one with        kill -STOP ${pids[1]}   and see that a change waits for it, and that it answers nothing old after  kill -CONT ${pids[1]}
Logs are in $dir. Ctrl-C ends it all.
TEXT
wait -n "${pids[@]}"

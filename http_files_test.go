package guildhall_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/guildhall/guildhall/artifacts"
	"github.com/guildhall/guildhall/client"
	"github.com/guildhall/guildhall/op"
)

// uploads sends bytes as a new file of Acme.
func (s *site) uploads(body, token, kind string, headers ...string) answer {
	a := ask{method: "POST", target: "/v1/organizations/" + s.acme.ID + "/artifacts?name=r%C3%A9sum%C3%A9.html&resource=execution:ex_1", token: token, body: body, kind: kind}
	return s.send(a.with(headers...))
}

func digestOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
}

// A file goes up and comes back over HTTP: whole, in parts, and never as something that a browser shows.
func TestFilesOverHTTP(t *testing.T) {
	s := newSite(t, "automation")
	owner := s.acme.Owner().Token
	const text = "<script>alert(1)</script>"
	put := s.uploads(text, owner, "text/html", "Content-Digest: "+digestOf(text))
	var a artifacts.Artifact
	if err := json.Unmarshal([]byte(put.body), &a); err != nil || put.status != 201 {
		t.Fatalf("put: %s %s", put.outcome(), put.body)
	}
	get := ask{method: "GET", target: "/v1/organizations/acme/artifacts/" + a.ID + "/content", token: owner}
	whole := s.send(get)
	etag := whole.header.Get("ETag")
	for name, want := range map[string]string{"Content-Type": "text/html", "X-Content-Type-Options": "nosniff", "Repr-Digest": digestOf(text),
		"Content-Disposition": "attachment; filename*=utf-8''r%C3%A9sum%C3%A9.html", "Accept-Ranges": "bytes", "Cache-Control": "no-store"} {
		if got := whole.header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if whole.status != 200 || whole.body != text || !strings.Contains(whole.header.Get("Content-Security-Policy"), "sandbox") {
		t.Errorf("whole: %s %q", whole.outcome(), whole.body)
	}
	for _, c := range []struct {
		headers []string
		status  int
		body    string
	}{
		{[]string{"Range: bytes=1-6"}, 206, "script"},
		{[]string{"Range: bytes=-9"}, 206, "</script>"},
		{[]string{"Range: bytes=17-"}, 206, "/script>"},
		{[]string{"Range: bytes=99-"}, 416, ""},
		{[]string{"Range: bytes=1-6", "If-Range: " + etag}, 206, "script"},
		{[]string{"Range: bytes=1-6", `If-Range: "other"`}, 200, text},
		{[]string{"If-None-Match: " + etag}, 304, ""},
	} {
		got := s.send(get.with(c.headers...))
		if got.status != c.status || c.body != "" && got.body != c.body {
			t.Errorf("%v: %d %q, want %d %q", c.headers, got.status, got.body, c.status, c.body)
		}
	}
	if got := s.send(get.with("Range: bytes=0-1,4-5")); got.status != 206 || !strings.HasPrefix(got.header.Get("Content-Type"), "multipart/byteranges") {
		t.Errorf("two parts: %d %v", got.status, got.header)
	}
	head := get
	head.method = "HEAD"
	if got := s.send(head); got.status != 200 || got.header.Get("Content-Length") != "25" {
		t.Errorf("head: %d %v", got.status, got.header)
	}
	for code, headers := range map[string]string{"digest_mismatch": "Content-Digest: " + digestOf("other"), "invalid_digest": "Content-Digest: sha-256=AAAA",
		"unsupported_media_type": "Content-Encoding: gzip"} {
		if got := s.uploads(text, owner, "text/html", headers); got.problem().Code != code {
			t.Errorf("%s: %s", headers, got.outcome())
		}
	}
	s.Sound()
}

// Whoever may not store files is told so before they send them: no "100 Continue" comes, and no byte is taken. T-100
func TestAnUploadIsRefusedBeforeItIsSent(t *testing.T) {
	s := newSite(t, "automation")
	conn, err := net.Dial("tcp", s.line.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Minute))
	viewer := s.acme.People["viewer"].Token
	_, err = io.WriteString(conn, "POST /v1/organizations/acme/artifacts?name=x HTTP/1.1\r\nHost: guildhall.test\r\nAuthorization: Bearer "+viewer+
		"\r\nContent-Length: 1000000000\r\nExpect: 100-continue\r\n\r\n")
	if err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 12)
	if _, err := io.ReadFull(conn, answer); err != nil || string(answer) != "HTTP/1.1 403" {
		t.Errorf("%q, %v", answer, err)
	}
}

// More than a JSON body may have is stored, and the Go client sends and receives it.
func TestTheClientSendsAndReceivesFiles(t *testing.T) {
	s := newSite(t, "automation")
	c := client.New("http://"+s.line.address, s.acme.Owner().Token, client.HTTP(&http.Client{}))
	text := strings.Repeat("0123456789abcdef", 1<<18) // 4 MiB
	sum := sha256.Sum256([]byte(text))
	a, err := artifacts.Put.Call(t.Context(), c, artifacts.PutInput{InOrganization: s.acme.In(), Name: "big.bin"},
		op.Content{Body: strings.NewReader(text), Size: int64(len(text)), SHA256: sum[:], MediaType: "application/x-big"})
	if err != nil || a.Size != int64(len(text)) || a.MediaType != "application/x-big" {
		t.Fatalf("%+v, %v", a, err)
	}
	var b bytes.Buffer
	err = c.Stream(context.Background(), artifacts.Content, op.Request{Input: artifacts.ArtifactInput{InOrganization: s.acme.In(), Artifact: a.ID}},
		func(op.Info) io.Writer { return &b })
	if err != nil || b.String() != text {
		t.Errorf("%d bytes came back, %v", b.Len(), err)
	}
}

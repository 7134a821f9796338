package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"github.com/guildhall/guildhall"
	"github.com/guildhall/guildhall/artifacts"
	"github.com/guildhall/guildhall/guildhalltest"
)

// s3 is a bucket of an S3 in this process.
type s3 struct {
	address string
	backend *s3mem.Backend
	down    atomic.Bool // it answers 503
}

// bucketed is the name of the bucket.
const bucketed = "stored"

func newS3(t *testing.T) *s3 {
	t.Helper()
	t.Setenv("AWS_ACCESS_KEY_ID", "id")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	b := &s3{backend: s3mem.New()}
	if err := b.backend.CreateBucket(bucketed); err != nil {
		t.Fatal(err)
	}
	fake := gofakes3.New(b.backend, gofakes3.WithLogger(gofakes3.DiscardLog())).Server()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if b.down.Load() {
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		fake.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	b.address = "s3://" + bucketed + "?region=us-east-1&use_path_style=true&endpoint=" + url.QueryEscape(server.URL)
	return b
}

// objects are the keys in the bucket.
func (b *s3) objects(t *testing.T) (keys []string) {
	t.Helper()
	list, err := b.backend.ListBucket(bucketed, nil, gofakes3.ListBucketPage{})
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range list.Contents {
		keys = append(keys, o.Key)
	}
	return keys
}

// shelf is a hall over HTTP whose files are in a bucket.
type shelf struct {
	*guildhalltest.Hall
	t    *testing.T
	url  string
	acme *guildhalltest.Organization
}

func newShelf(t *testing.T, address string) *shelf {
	t.Helper()
	s := &shelf{Hall: guildhalltest.New(t, "automation", guildhalltest.With(func(c *guildhall.Config) { c.Artifacts = address })), t: t}
	s.url, s.acme = s.URL(), s.Organization("acme")
	return s
}

// asks sends a request as acme's owner, with headers as names and values, and reads its answer.
func (s *shelf) asks(method, path string, body io.Reader, headers ...string) (*http.Response, string) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, body)
	if err != nil {
		s.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+s.acme.Owner().Token)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
		if headers[i+1] == "" {
			r.Header.Del(headers[i])
		}
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer, string(text)
}

const shelfPath = "/v1/organizations/acme/artifacts"

// puts stores bytes, and gives what is known of them.
func (s *shelf) puts(content []byte, headers ...string) artifacts.Artifact {
	s.t.Helper()
	answer, text := s.asks("POST", shelfPath+"?name=report.bin", bytes.NewReader(content), headers...)
	var a artifacts.Artifact
	if err := json.Unmarshal([]byte(text), &a); err != nil || answer.StatusCode != http.StatusCreated {
		s.t.Fatalf("put is %d: %s", answer.StatusCode, text)
	}
	return a
}

func digest(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha-256=:" + base64.StdEncoding.EncodeToString(sum[:]) + ":"
}

// A file in a bucket is stored, read in whole and in part, opened by a link and deleted as one in a folder is. It has more
// than one part of an upload.
func TestFilesAreKeptInABucketOfS3(t *testing.T) {
	bucket := newS3(t)
	s := newShelf(t, bucket.address)
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<20+1)
	a := s.puts(content, "Content-Digest", digest(content))
	if keys := bucket.objects(t); len(keys) != 1 || keys[0] != s.acme.ID+"/"+a.ID {
		t.Fatalf("the bucket holds %q", keys)
	}
	one := shelfPath + "/" + a.ID + "/content"
	if answer, text := s.asks("GET", one, nil); text != string(content) || answer.Header.Get("Repr-Digest") != digest(content) {
		t.Errorf("the whole is %d, %d bytes, %s", answer.StatusCode, len(text), answer.Header.Get("Repr-Digest"))
	}
	for ranged, want := range map[string]string{"bytes=4-9": "456789", "bytes=-3": "def", fmt.Sprintf("bytes=%d-", len(content)-2): "ef"} {
		if answer, text := s.asks("GET", one, nil, "Range", ranged); answer.StatusCode != http.StatusPartialContent || text != want {
			t.Errorf("%s is %d %q, want %q", ranged, answer.StatusCode, text, want)
		}
	}
	if answer, _ := s.asks("GET", one, nil, "Range", "bytes=99999999-"); answer.StatusCode != http.StatusRequestedRangeNotSatisfiable {
		t.Errorf("a range behind the end is %d", answer.StatusCode)
	}
	answer, text := s.asks("POST", shelfPath+"/"+a.ID+"/link", strings.NewReader("{}"), "Content-Type", "application/json")
	var made artifacts.NewLink
	if err := json.Unmarshal([]byte(text), &made); err != nil {
		t.Fatalf("the link is %d: %s", answer.StatusCode, text)
	}
	link := strings.TrimPrefix(made.Link, guildhalltest.BaseURL)
	if _, text := s.asks("GET", link, nil, "Authorization", ""); text != string(content) {
		t.Errorf("the link gives %d bytes", len(text))
	}
	if broken, err := s.DoctorFiles(t.Context(), 10); err != nil || len(broken) > 0 {
		t.Errorf("the doctor says %q, %v", broken, err)
	}
	if answer, text := s.asks("DELETE", shelfPath+"/"+a.ID, nil); answer.StatusCode != http.StatusOK {
		t.Fatalf("delete is %d: %s", answer.StatusCode, text)
	}
	s.works()
	if keys := bucket.objects(t); len(keys) > 0 {
		t.Errorf("after the deletion the bucket holds %q", keys)
	}
	if answer, _ := s.asks("GET", link, nil, "Authorization", ""); answer.StatusCode != http.StatusGone {
		t.Errorf("the link of a deleted file is %d", answer.StatusCode)
	}
	s.Sound()
}

// works lets the sweeper erase what is deleted.
func (s *shelf) works() {
	s.t.Helper()
	s.Clock.Advance(2 * 60e9)
	if err := s.RunDue(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

// What is refused, and what breaks off, leaves nothing in the bucket.
func TestWhatDoesNotArriveLeavesNothingInTheBucket(t *testing.T) {
	bucket := newS3(t)
	s := newShelf(t, bucket.address)
	if answer, text := s.asks("POST", shelfPath+"?name=x", strings.NewReader("all is well"), "Content-Digest", digest([]byte("another"))); answer.StatusCode != http.StatusBadRequest {
		t.Errorf("another checksum is %d: %s", answer.StatusCode, text)
	}
	broken := io.MultiReader(bytes.NewReader(make([]byte, 9<<20)), failing{})
	r, err := http.NewRequestWithContext(t.Context(), "POST", s.url+shelfPath+"?name=x", broken)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+s.acme.Owner().Token)
	if answer, err := http.DefaultClient.Do(r); err == nil {
		answer.Body.Close()
		t.Errorf("an upload that broke off is %d", answer.StatusCode)
	}
	bucket.down.Store(true)
	if answer, _ := s.asks("POST", shelfPath+"?name=x", strings.NewReader("all is well")); answer.StatusCode < 500 {
		t.Errorf("with the bucket down it is %d", answer.StatusCode)
	}
	bucket.down.Store(false)
	s.works()
	if keys := bucket.objects(t); len(keys) > 0 {
		t.Errorf("the bucket holds %q", keys)
	}
	if a := s.puts([]byte("all is well")); a.Size != 11 {
		t.Errorf("afterwards a file has %d bytes", a.Size)
	}
	s.Sound()
}

// failing is a body that breaks off.
type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errors.New("broken off") }

// Two servers with one bucket: each region has its own.
func TestEachRegionHasABucketOfItsOwn(t *testing.T) {
	here, there := newS3(t), newS3(t)
	s := newShelf(t, "us-east-1="+here.address+" eu-west-1="+there.address)
	s.puts([]byte("all is well"))
	if len(here.objects(t)) != 1 || len(there.objects(t)) != 0 {
		t.Errorf("the buckets hold %q and %q", here.objects(t), there.objects(t))
	}
}

// A wrong address stops the server at its start, and says what would be right.
func TestAWrongAddressOfABucketSaysWhatWouldBeRight(t *testing.T) {
	bucket := newS3(t)
	t.Setenv("AZURE_STORAGE_ACCOUNT", "")
	for address, want := range map[string]string{
		"/var/lib/files":                      "is not the address of a bucket, such as file:///var/lib/guildhall/artifacts",
		"ftp://files":                         "ftp:// is no place for files: addresses begin with azblob://, file://, gs://, s3://",
		"file://var/lib/files":                "three slashes",
		"s3://?region=us-east-1":              "does not say which bucket, as s3://BUCKET does",
		"s3://id:secret@stored":               "secrets are not part of an address",
		"s3://stored?regoin=us-east-1":        `unknown query parameter "regoin"`,
		"s3://stored/folder?region=us-east-1": "does not say which bucket",
		"gs://":                               "does not say which bucket, as gs://BUCKET does",
		"azblob://files":                      "artifacts: azblob://files: ",
		"us-east-1=s3://stored?rgn=1":         `unknown query parameter "rgn"`,
		strings.Replace(bucket.address, "stored", "nowhere", 1): "artifacts: there is no bucket s3://nowhere",
	} {
		store, err := artifacts.OpenStore(t.Context(), address)
		if err == nil {
			err = errors.Join(store.Try(t.Context(), slog.New(slog.DiscardHandler)), store.Close())
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", address, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "secret@") {
			t.Errorf("%s: the error tells the secret", address)
		}
	}
}

// A bucket that does not answer is no reason not to start: checks need no bucket.
func TestABucketThatDoesNotAnswerIsToldToTheLog(t *testing.T) {
	newS3(t)
	store, err := artifacts.OpenStore(t.Context(), "s3://stored?region=us-east-1&use_path_style=true&endpoint="+url.QueryEscape("http://127.0.0.1:1"))
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	if err := errors.Join(store.Try(t.Context(), slog.New(slog.NewTextHandler(&log, nil))), store.Close()); err != nil {
		t.Errorf("it is an error: %v", err)
	}
	if !strings.Contains(log.String(), "does not answer") {
		t.Errorf("the log says %q", log.String())
	}
}

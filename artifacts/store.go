package artifacts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"gocloud.dev/blob"
	_ "gocloud.dev/blob/fileblob" // registers "file"; the clouds are linked by whoever wants them
	"gocloud.dev/gcerrors"
)

// Store is where the bytes are: one bucket for all regions, or one for each. It is safe for concurrent use. Close it.
type Store struct {
	all     *place
	regions map[string]*place
}

// place is one bucket. Of a folder of this machine it knows the path, to make what is written there durable.
type place struct {
	name   string // its address, as errors say it
	bucket *blob.Bucket
	folder string
	synced sync.Map // directories whose entry in the folder is durable
}

// OpenStore opens the places of a list, with spaces between: an address of a bucket is for every region, and
// REGION=ADDRESS is for one. Addresses are file:///FOLDER, and those of the drivers that are linked: s3://, gs://,
// azblob://.
func OpenStore(ctx context.Context, places string) (*Store, error) {
	s := &Store{regions: map[string]*place{}}
	for _, word := range strings.Fields(places) {
		region, address, named := strings.Cut(word, "=")
		if scheme, _, ok := strings.Cut(word, "://"); ok && !strings.Contains(scheme, "=") {
			region, address, named = "", word, false
		}
		p, err := openPlace(ctx, address)
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		if named {
			s.regions[region] = p
		} else {
			s.all = p
		}
	}
	if s.all == nil && len(s.regions) == 0 {
		return nil, errors.New("artifacts: no place is given, such as " + example)
	}
	return s, nil
}

// example is the address that errors show.
const example = "file:///var/lib/guildhall/artifacts"

// checksums says when the AWS SDK checks what it reads.
const checksums = "response_checksum_validation"

func openPlace(ctx context.Context, address string) (*place, error) {
	u, err := readAddress(address)
	if err != nil {
		return nil, fmt.Errorf("artifacts: %w", err)
	}
	p := &place{name: u.Scheme + "://" + u.Host + u.Path}
	switch query := u.Query(); u.Scheme {
	case "file":
		p.folder = filepath.FromSlash(u.Path)
		if u.Host == "." { // relative to where the process runs
			p.folder = filepath.FromSlash(strings.TrimPrefix(u.Path, "/"))
		}
		query.Set("create_dir", "1")
		query.Set("no_tmp_dir", "1") // a rename between two file systems is none
		query.Set("dir_file_mode", "0700")
		query.Set("metadata", "skip")
		u.RawQuery = query.Encode()
	case "s3":
		if !query.Has(checksums) { // whoever reads compares with the SHA-256; the SDK would write a line where it cannot
			query.Set(checksums, "when_required")
			u.RawQuery = query.Encode()
		}
	}
	if p.bucket, err = blob.OpenBucket(ctx, u.String()); err != nil {
		return nil, fmt.Errorf("artifacts: %s: %w", p.name, err)
	}
	return p, nil
}

// readAddress reads the address of a bucket, and says what would be right.
func readAddress(address string) (*url.URL, error) {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Scheme == "" || !strings.Contains(address, "://"):
		return nil, fmt.Errorf("%q is not the address of a bucket, such as %s", address, example)
	case !blob.DefaultURLMux().ValidBucketScheme(u.Scheme):
		return nil, fmt.Errorf("%s:// is no place for files: addresses begin with %s", u.Scheme, strings.Join(schemes(), ", "))
	case u.User != nil:
		return nil, fmt.Errorf("%s: secrets are not part of an address: the driver reads them from its environment", u.Redacted())
	case u.Scheme == "file" && (u.Host != "" && u.Host != "." || strings.Trim(u.Path, "/") == ""):
		return nil, fmt.Errorf("%q is not the address of a folder, which has three slashes: %s", address, example)
	case u.Scheme != "file" && (u.Host == "" || strings.Trim(u.Path, "/") != ""):
		return nil, fmt.Errorf("%q does not say which bucket, as %s://BUCKET does", address, u.Scheme)
	}
	return u, nil
}

// schemes are what addresses begin with.
func schemes() []string {
	all := blob.DefaultURLMux().BucketSchemes()
	slices.Sort(all)
	for i := range all {
		all[i] += "://"
	}
	return all
}

// answersWithin is how long a bucket may take to answer at the start.
const answersWithin = 15 * time.Second

// Try looks whether every bucket can be used, and says what is wrong with an address, a name or a right. One that does not
// answer at all now may do so later: it is told to the log, and is no error.
func (s *Store) Try(ctx context.Context, log *slog.Logger) error {
	var wrong error
	for _, p := range s.places() {
		if p.folder != "" {
			continue
		}
		err := p.try(ctx)
		if silent(err) {
			log.Warn("the place of stored files does not answer", "place", p.name, "error", err)
			continue
		}
		wrong = errors.Join(wrong, err)
	}
	return wrong
}

func (p *place) try(ctx context.Context) error {
	ctx, done := context.WithTimeout(ctx, answersWithin)
	defer done()
	there, err := p.bucket.IsAccessible(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("artifacts: %s cannot be used: %w", p.name, err)
	case !there:
		return fmt.Errorf("artifacts: there is no bucket %s", p.name)
	}
	return nil
}

// silent reports whether an error only says that somebody did not answer.
func silent(err error) bool {
	var network net.Error
	var name *net.DNSError
	if errors.As(err, &name) && name.IsNotFound {
		return false // nobody has this name
	}
	return errors.As(err, &network) || errors.Is(err, context.DeadlineExceeded)
}

// Close closes the buckets.
func (s *Store) Close() error {
	var err error
	for _, p := range s.places() {
		err = errors.Join(err, p.bucket.Close())
	}
	return err
}

func (s *Store) places() []*place {
	var all []*place
	if s.all != nil {
		all = append(all, s.all)
	}
	for _, p := range s.regions {
		all = append(all, p)
	}
	return all
}

// in is the place of a region. A region without one is nowhere: its files do not go somewhere else.
func (s *Store) in(region string) (*place, error) {
	if p, ok := s.regions[region]; ok {
		return p, nil
	}
	if s.all == nil {
		return nil, fmt.Errorf("artifacts: no place is configured for the region %q", region)
	}
	return s.all, nil
}

// key is the name of the bytes of an artifact.
func key(organization, artifact string) string { return organization + "/" + artifact }

// write writes a stream, and returns when it is durable. After an error there is nothing, or a rest that drop removes. Of
// a bucket elsewhere one part at a time is in memory.
func (p *place) write(ctx context.Context, key string, body io.Reader) error {
	ctx, abort := context.WithCancel(ctx)
	defer abort()
	w, err := p.bucket.NewWriter(ctx, key, &blob.WriterOptions{ContentType: octets, DisableContentTypeDetection: true, MaxConcurrency: 1})
	if err != nil {
		return err
	}
	if _, err := io.Copy(w, body); err != nil {
		abort() // before Close, which would else keep what came
		return errors.Join(err, ignore(w.Close()))
	}
	if err := w.Close(); err != nil {
		return err
	}
	return p.sync(key)
}

// octets is the type of every object in a bucket: what its maker called it is in the table, and no browser gets it from
// anywhere else.
const octets = "application/octet-stream"

// ignore drops an error that says only that something was given up.
func ignore(error) error { return nil }

// sync makes a file of this machine durable: its bytes, its name, and the name of its directory. Buckets elsewhere are
// when they answer.
func (p *place) sync(key string) error {
	if p.folder == "" {
		return nil
	}
	path := filepath.Join(p.folder, filepath.FromSlash(key))
	if err := errors.Join(syncPath(path), syncPath(filepath.Dir(path))); err != nil {
		return err
	}
	if _, done := p.synced.Load(filepath.Dir(path)); done {
		return nil
	}
	if err := syncPath(p.folder); err != nil {
		return err
	}
	p.synced.Store(filepath.Dir(path), true)
	return nil
}

func syncPath(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// read gives the bytes from offset on, at most length of them; a negative length means all.
func (p *place) read(ctx context.Context, key string, offset, length int64) (io.ReadCloser, error) {
	return p.bucket.NewRangeReader(ctx, key, offset, length, nil)
}

// size is how many bytes there are; negative: there is no such file.
func (p *place) size(ctx context.Context, key string) (int64, error) {
	a, err := p.bucket.Attributes(ctx, key)
	if gcerrors.Code(err) == gcerrors.NotFound {
		return -1, nil
	}
	if err != nil {
		return 0, err
	}
	return a.Size, nil
}

// drop removes the bytes. What is gone already is no error.
func (p *place) drop(ctx context.Context, key string) error {
	if err := p.bucket.Delete(ctx, key); err != nil && gcerrors.Code(err) != gcerrors.NotFound {
		return err
	}
	return nil
}

// dropUnfinished removes the bytes of an upload that did not end, and what a process that died left beside them.
func (p *place) dropUnfinished(ctx context.Context, key string) error {
	all := p.bucket.List(&blob.ListOptions{Prefix: key})
	for {
		object, err := all.Next(ctx)
		if errors.Is(err, io.EOF) {
			return p.drop(ctx, key)
		}
		if err != nil {
			return err
		}
		if err := p.drop(ctx, object.Key); err != nil {
			return err
		}
	}
}

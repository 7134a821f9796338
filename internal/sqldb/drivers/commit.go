package drivers

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// postgres is pgx, but that it never has the database cancel a commit. One that waits for a synchronous standby is done
// on the primary alone when its wait is cancelled: everybody sees it there, and it is gone when the standby takes over.
// pgx cancels whatever its caller does not wait for any longer. Here such a commit is left: its connection goes, the
// database waits on, and nobody sees the change before the standby has it. A commit whose wait an administrator
// cancelled has no answer that counts either: the database calls it done, and warns.
type postgres struct {
	cancels bool // all the same: who commits there counts nothing that they have not waited for
}

// Open is the driver's.
func (p postgres) Open(name string) (driver.Conn, error) {
	c, err := p.OpenConnector(name)
	if err != nil {
		return nil, err
	}
	return c.Connect(context.Background())
}

// OpenConnector is the driver's.
func (p postgres) OpenConnector(name string) (driver.Connector, error) {
	config, err := pgx.ParseConfig(name)
	if err != nil {
		return nil, err
	}
	return &connector{driver: p, config: config, open: map[*socket]bool{}, left: map[*socket]bool{}}, nil
}

// connector makes the connections of one pool, and knows the commits that were left.
type connector struct {
	driver postgres
	config *pgx.ConnConfig
	mu     sync.Mutex
	open   map[*socket]bool // the connections that were made, and not closed
	left   map[*socket]bool
	server int // how often Replaced was called: connections of before lead to a server that was replaced
}

// Driver is the connector's.
func (c *connector) Driver() driver.Driver { return c.driver }

// Connect opens a connection.
func (c *connector) Connect(ctx context.Context) (driver.Conn, error) {
	l := &line{connector: c}
	config := c.config.Copy()
	config.OnNotice = l.noticed
	made, err := stdlib.GetConnector(*config, stdlib.OptionBeforeConnect(l.dials)).Connect(ctx)
	if err != nil {
		return nil, err
	}
	inner, ok := made.(*stdlib.Conn)
	if !ok {
		return nil, fmt.Errorf("a connection of pgx is a %T", made)
	}
	return &conn{Conn: inner, line: l}, nil
}

// Left is how many commits nobody waits for any longer, and the database has not answered.
func (c *connector) Left() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.left)
}

// Forget forgets the commits that were left: they are at a server that another one has replaced.
func (c *connector) Forget() {
	c.mu.Lock()
	left := slices.Collect(maps.Keys(c.left))
	clear(c.left)
	for _, s := range left {
		s.over = true
	}
	c.mu.Unlock()
	for _, s := range left {
		_ = s.Conn.Close()
	}
}

// Replaced is Forget where all connections of before lead to a server that another one has replaced just now. Whoever waits
// for an answer there waits no longer, and has none: the outcome of a commit is not known.
func (c *connector) Replaced() {
	c.mu.Lock()
	c.server++
	open := slices.Collect(maps.Keys(c.open))
	c.mu.Unlock()
	c.Forget()
	for _, s := range open {
		_ = s.Conn.SetDeadline(time.Unix(1, 0)) // its user closes it
	}
}

// line is what lies under a connection.
type line struct {
	connector  *connector
	committing atomic.Bool
	warned     atomic.Bool            // of a commit
	socket     atomic.Pointer[socket] // the last one that was dialled
}

var (
	errNoCancel = errors.New("a commit is not cancelled")
	// errAlone has the connection closed, and the caller told that the outcome is not known.
	errAlone = fmt.Errorf("the database committed with a warning, as when its wait for the standby was cancelled: %w", driver.ErrBadConn)
)

// noticed hears what the database says beside its answers.
func (l *line) noticed(_ *pgconn.PgConn, n *pgconn.Notice) {
	if l.committing.Load() && n.SeverityUnlocalized == "WARNING" {
		l.warned.Store(true)
	}
}

// dials has pgx reach the database through l. Once the connection is made, it only dials to cancel what is under way.
func (l *line) dials(_ context.Context, config *pgx.ConnConfig) error {
	dial := config.DialFunc
	config.DialFunc = func(ctx context.Context, network, address string) (net.Conn, error) {
		if l.committing.Load() && !l.connector.driver.cancels {
			l.connector.leave(l.socket.Load())
			return nil, errNoCancel
		}
		to, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		s := l.connector.made(to)
		l.socket.CompareAndSwap(nil, s)
		return s, nil
	}
	return nil
}

// made keeps account of a connection.
func (c *connector) made(to net.Conn) *socket {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &socket{Conn: to, connector: c, server: c.server}
	c.open[s] = true
	return s
}

// current reports whether no other server has replaced the one that s leads to, as far as anybody said.
func (c *connector) current(s *socket) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return s.server == c.server
}

func (c *connector) leave(s *socket) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !s.over && s.server == c.server {
		c.left[s] = true
	}
}

// socket is the network's end of a connection.
type socket struct {
	net.Conn
	connector *connector
	server    int
	over      bool // nothing is to be heard of it any more; with connector.mu
}

// errReplaced is what is read after Replaced.
var errReplaced = fmt.Errorf("another database server has taken the place of this one: %w", net.ErrClosed)

// Read reads what the database sends.
func (s *socket) Read(to []byte) (int, error) {
	n, err := s.Conn.Read(to)
	if errors.Is(err, os.ErrDeadlineExceeded) && !s.connector.current(s) {
		err = errReplaced
	}
	return n, err
}

// longestLeft is how long a commit that was left counts at most.
const longestLeft = 10 * time.Minute

// Close closes it, or, where a commit was left, listens until the database has answered.
func (s *socket) Close() error {
	c := s.connector
	c.mu.Lock()
	left := c.left[s]
	s.over = s.over || !left
	delete(c.open, s)
	c.mu.Unlock()
	if !left {
		return s.Conn.Close()
	}
	go func() {
		_ = s.SetDeadline(time.Now().Add(longestLeft))
		_, _ = io.Copy(io.Discard, s.Conn)
		c.mu.Lock()
		s.over = true
		delete(c.left, s)
		c.mu.Unlock()
		_ = s.Conn.Close()
	}()
	return nil
}

// conn is a connection.
type conn struct {
	*stdlib.Conn
	line  *line
	later []delayed // of the transaction that is under way
}

// delayed is a statement whose answer comes with that of the commit.
type delayed struct {
	query string
	args  []any
}

// ExecLater has a statement sent with the commit. Nothing is sent where that is not reached.
func (c *conn) ExecLater(query string, args []any) { c.later = append(c.later, delayed{query, args}) }

// IsValid reports whether more may be asked on it: database/sql asks before it keeps it. It is not where a transaction has
// failed, and was not ended.
func (c *conn) IsValid() bool {
	inner := c.Conn.Conn()
	return !inner.IsClosed() && inner.PgConn().TxStatus() == 'I' && c.line.connector.current(c.line.socket.Load())
}

// BeginTx begins a transaction whose commit is not cancelled, unless it only reads.
func (c *conn) BeginTx(ctx context.Context, opts driver.TxOptions) (driver.Tx, error) {
	c.later = nil
	inner, err := c.Conn.BeginTx(ctx, opts)
	if err != nil || opts.ReadOnly {
		return inner, err
	}
	return transaction{inner, c, ctx}, nil
}

// transaction is one that may change something.
type transaction struct {
	driver.Tx
	conn *conn
	ctx  context.Context // until which it lasts: driver.Tx has none
}

// Commit commits. When its caller gives up, the connection is closed, and whether it was committed is not known.
func (t transaction) Commit() error {
	l := t.conn.line
	l.committing.Store(true)
	err := t.commit()
	switch {
	case !t.conn.Conn.Conn().IsClosed():
		l.committing.Store(false)
	case !l.connector.driver.cancels:
		l.connector.leave(l.socket.Load())
	}
	if err == nil && l.warned.Load() {
		return errAlone
	}
	return err
}

// commit sends what was left for later and the commit in one message. An error of the former leaves nothing, and the
// connection is not kept.
func (t transaction) commit() error {
	if len(t.conn.later) == 0 {
		return t.Tx.Commit()
	}
	batch := &pgx.Batch{}
	for _, s := range t.conn.later {
		batch.Queue(s.query, s.args...)
	}
	batch.Queue("commit")
	return t.conn.Conn.Conn().SendBatch(t.ctx, batch).Close()
}

package mail_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"maps"
	"math/big"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	netmail "net/mail"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/google/go-cmp/cmp"

	"github.com/guildhall/guildhall/internal/mail"
	"github.com/guildhall/guildhall/internal/secret"
)

// office is a mail server and what arrived there.
type office struct {
	port   int
	refuse error // what it answers to a recipient

	mu       sync.Mutex
	to       []string
	letters  []string
	signedIn bool
}

// session is one connection to the office. With auth it wants a sign-in.
type session struct {
	*office
	auth bool
}

// open starts a server on 127.0.0.1 that ends with the test.
func open(t *testing.T, change func(*smtp.Server), listen func(*smtp.Server, net.Listener) error) *office {
	t.Helper()
	o := &office{}
	server := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) {
		return &session{office: o, auth: true}, nil
	}))
	server.Domain = "localhost"
	server.ErrorLog = log.New(io.Discard, "", 0)
	change(server)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o.port = l.Addr().(*net.TCPAddr).Port
	var wg sync.WaitGroup
	wg.Go(func() { listen(server, l) })
	t.Cleanup(func() { server.Close(); wg.Wait() })
	return o
}

func plain(s *smtp.Server, l net.Listener) error { return s.Serve(l) }

func (s *session) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *session) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if user != "hall" || password != "open sesame" {
			return errors.New("wrong")
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.signedIn = true
		return nil
	}), nil
}

func (s *session) Mail(string, *smtp.MailOptions) error { return nil }

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if s.refuse != nil {
		return s.refuse
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.to = append(s.to, to)
	return nil
}

func (s *session) Data(r io.Reader) error {
	text, err := io.ReadAll(r)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.letters = append(s.letters, string(text))
	return err
}

func (s *session) Reset()        {}
func (s *session) Logout() error { return nil }

// letter reads the last letter that arrived.
func (o *office) letter(t *testing.T) *netmail.Message {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.letters) == 0 {
		t.Fatal("no letter arrived")
	}
	m, err := netmail.ReadMessage(strings.NewReader(o.letters[len(o.letters)-1]))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// sender is an SMTP to the office, in the clear.
func (o *office) sender() *mail.SMTP {
	return &mail.SMTP{
		Host: "127.0.0.1", Port: o.port, TLS: mail.Unencrypted,
		FromAddress: "hall@acme.test", FromName: "Acme", Timeout: 10 * time.Second,
	}
}

func insecure(s *smtp.Server) { s.AllowInsecureAuth = true }

func send(t *testing.T, s mail.Sender, m mail.Message) {
	t.Helper()
	if err := s.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
}

func header(t *testing.T, m *netmail.Message, name string) string {
	t.Helper()
	text, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get(name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestALetterArrivesAsItWasWritten(t *testing.T) {
	o := open(t, insecure, plain)
	send(t, o.sender(), mail.Message{
		To: "ann@acme.test", Subject: "Welcome, Zoë", Text: "Hello,\n.\nthis line follows a dot: ü", HTML: "<p>Hello, ü</p>",
	})
	m := o.letter(t)
	for name, want := range map[string]string{"To": "<ann@acme.test>", "From": `"Acme" <hall@acme.test>`, "Subject": "Welcome, Zoë", "Auto-Submitted": "auto-generated"} {
		if got := header(t, m, name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if diff := cmp.Diff([]string{"ann@acme.test"}, o.to); diff != "" {
		t.Errorf("recipients (-want +got):\n%s", diff)
	}
	want := map[string]string{
		"text/plain": "Hello,\r\n.\r\nthis line follows a dot: ü",
		"text/html":  "<p>Hello, ü</p>",
	}
	if diff := cmp.Diff(want, parts(t, m)); diff != "" {
		t.Errorf("parts (-want +got):\n%s", diff)
	}
}

// parts reads the parts of a multipart letter by type.
func parts(t *testing.T, m *netmail.Message) map[string]string {
	t.Helper()
	_, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for r := multipart.NewReader(m.Body, params["boundary"]); ; {
		part, err := r.NextRawPart()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatal(err)
		}
		kind, _, err := mime.ParseMediaType(part.Header.Get("Content-Type"))
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(quotedprintable.NewReader(part))
		if err != nil {
			t.Fatal(err)
		}
		found[kind] = strings.TrimRight(string(text), "\r\n")
	}
}

// T-035
func TestNobodyWritesHeaders(t *testing.T) {
	o := open(t, insecure, plain)
	plainLetter := func() []string {
		return slices.Sorted(maps.Keys(o.letter(t).Header))
	}
	send(t, o.sender(), mail.Message{To: "ann@acme.test", Subject: "x", Text: "y"})
	want := plainLetter()
	for _, evil := range []string{
		"a\r\nBcc: eve@evil.test", "a\nX-Evil: 1", "a\rX-Evil: 1", "a\r\n\r\n<script>alert(1)</script>", "a\u2028Bcc: eve@evil.test",
		"\x00\r\n.\r\nMAIL FROM:<eve@evil.test>", "\" <eve@evil.test>, \"", "=?utf-8?q?=0D=0ABcc:_eve@evil.test?=", "\u202eevil", strings.Repeat("long ", 500) + "\r\nX-Evil: 1",
	} {
		s := o.sender()
		s.FromName = evil
		send(t, s, mail.Message{To: "ann@acme.test", Subject: evil, Text: evil + "\r\n.\r\nQUIT\r\n"})
		if diff := cmp.Diff(want, plainLetter()); diff != "" {
			t.Errorf("%.40q changes the headers (-want +got):\n%s", evil, diff)
		}
		from, err := o.letter(t).Header.AddressList("From")
		if err != nil || len(from) != 1 || from[0].Address != "hall@acme.test" {
			t.Errorf("%.40q changes the sender: %v, %v", evil, from, err)
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if slices.ContainsFunc(o.to, func(to string) bool { return to != "ann@acme.test" }) {
		t.Errorf("recipients %q", o.to)
	}
}

func TestARefusalForGoodIsToldFromOneForNow(t *testing.T) {
	for name, test := range map[string]struct {
		answer error
		want   bool
	}{
		"no such mailbox": {&smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such mailbox"}, true},
		"try later":       {&smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 7, 1}, Message: "greylisted"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			o := open(t, insecure, plain)
			o.refuse = test.answer
			err := o.sender().Send(t.Context(), mail.Message{To: "ann@acme.test", Subject: "x"})
			if err == nil || mail.Refused(err) != test.want {
				t.Errorf("Send = %v, refused for good: %v, want %v", err, mail.Refused(err), test.want)
			}
		})
	}
}

func TestAServerThatIsNotThereIsAnErrorThatPasses(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := office{port: l.Addr().(*net.TCPAddr).Port}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := gone.sender().Send(t.Context(), mail.Message{To: "ann@acme.test"}); err == nil || mail.Refused(err) {
		t.Errorf("Send = %v, want an error that passes", err)
	}
}

func TestTheConnectionIsEncryptedOrThereIsNone(t *testing.T) {
	server, client := certificates(t)
	withTLS := func(s *smtp.Server) { s.TLSConfig = server }
	implicit := func(s *smtp.Server, l net.Listener) error { return s.Serve(tls.NewListener(l, server)) }
	for name, test := range map[string]struct {
		office *office
		policy mail.TLSPolicy
		config *tls.Config
		ok     bool
	}{
		"a server with STARTTLS":                {open(t, withTLS, plain), "", client, true},
		"a server with TLS from the beginning":  {open(t, withTLS, implicit), mail.ImplicitTLS, client, true},
		"a server without TLS":                  {open(t, insecure, plain), mail.StartTLS, client, false},
		"a server of an unknown authority":      {open(t, withTLS, plain), mail.StartTLS, nil, false},
		"a server of an unknown authority, TLS": {open(t, withTLS, implicit), mail.ImplicitTLS, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := test.office.sender()
			s.TLS, s.TLSConfig, s.User, s.Password = test.policy, test.config, "hall", secret.Hide("open sesame")
			err := s.Send(t.Context(), mail.Message{To: "ann@acme.test", Subject: "x"})
			test.office.mu.Lock()
			defer test.office.mu.Unlock()
			if (err == nil) != test.ok || test.office.signedIn != test.ok {
				t.Errorf("Send = %v, signed in: %v, want success: %v", err, test.office.signedIn, test.ok)
			}
		})
	}
}

func TestAWrongPasswordIsAnErrorWithoutThePassword(t *testing.T) {
	server, client := certificates(t)
	o := open(t, func(s *smtp.Server) { s.TLSConfig = server }, plain)
	s := o.sender()
	s.TLS, s.TLSConfig, s.User, s.Password = mail.StartTLS, client, "hall", secret.Hide("hunter22")
	err := s.Send(t.Context(), mail.Message{To: "ann@acme.test"})
	if err == nil || mail.Refused(err) || strings.Contains(err.Error(), "hunter22") {
		t.Errorf("Send = %v, want an error that passes, without the password", err)
	}
}

// certificates returns TLS settings of a server on 127.0.0.1, and of a client
// that trusts it.
func certificates(t *testing.T) (server, client *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(certificate)
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}, &tls.Config{RootCAs: pool}
}

func TestCheckNamesWhatIsWrong(t *testing.T) {
	good := mail.SMTP{Host: "mail.acme.test", FromAddress: "hall@acme.test"}
	for want, change := range map[string]func(*mail.SMTP){
		"":             func(*mail.SMTP) {},
		"no host":      func(s *mail.SMTP) { s.Host = "" },
		"mail sender":  func(s *mail.SMTP) { s.FromAddress = "acme" },
		"TLS policy":   func(s *mail.SMTP) { s.TLS = "perhaps" },
		"invalid port": func(s *mail.SMTP) { s.Port = 70000 },
	} {
		s := good
		change(&s)
		err := s.Check()
		if want == "" && err != nil {
			t.Errorf("Check of good settings = %v", err)
		}
		if want != "" && (err == nil || !bytes.Contains([]byte(err.Error()), []byte(want))) {
			t.Errorf("Check = %v, want an error about %q", err, want)
		}
	}
}

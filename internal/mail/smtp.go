package mail

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	netmail "net/mail"
	"time"

	gomail "github.com/wneessen/go-mail"

	"github.com/guildhall/guildhall/internal/secret"
)

// TLSPolicy says how the connection to the mail server is encrypted.
type TLSPolicy string

// The policies. The empty one is StartTLS.
const (
	StartTLS    TLSPolicy = "starttls"    // begins in the clear, and is refused if it does not become TLS
	ImplicitTLS TLSPolicy = "tls"         // is TLS from the first byte
	Unencrypted TLSPolicy = "unencrypted" // for a server on this machine
)

// SMTP is a Sender that hands mail to a server. It opens a connection for each
// message.
type SMTP struct {
	// Host is the server's name, which its certificate has to bear. It has to
	// be set.
	Host string

	// Port is the server's. 0 means 587, and 465 with ImplicitTLS.
	Port int

	// User and Password sign in to the server. An empty User means that it
	// wants no sign-in. They are never sent in the clear, but to this machine.
	User     string
	Password secret.Text

	// TLS is how the connection is encrypted. "" means StartTLS.
	TLS TLSPolicy

	// TLSConfig is for servers with a certificate of a private authority. Nil
	// means the machine's authorities.
	TLSConfig *tls.Config

	// FromAddress is whom the mail comes from. It has to be set.
	FromAddress string

	// FromName stands beside it. "" means the address alone.
	FromName string

	// Timeout bounds each step of a delivery. 0 means 15 seconds.
	Timeout time.Duration
}

// Check reports what is missing or wrong in the settings, without the network.
func (s *SMTP) Check() error {
	if s.Host == "" {
		return errors.New("mail server: no host")
	}
	if err := checkAddress(s.FromAddress); err != nil {
		return fmt.Errorf("mail sender: %w", err)
	}
	_, err := s.client()
	return err
}

// Send hands m to the server, which has it when Send returns nil.
func (s *SMTP) Send(ctx context.Context, m Message) error {
	m, err := m.cleaned()
	if err != nil {
		return err
	}
	letter, err := s.letter(m)
	if err != nil {
		return err
	}
	client, err := s.client()
	if err != nil {
		return err
	}
	conn, err := client.DialToSMTPClientWithContext(ctx)
	if err != nil {
		return fmt.Errorf("mail server: %w", err)
	}
	// How the connection ends says nothing about the message: the server has it.
	defer client.CloseWithSMTPClient(conn)
	err = client.SendWithSMTPClient(conn, letter)
	var failure *gomail.SendError
	if errors.As(err, &failure) && permanentCode(failure.ErrorCode()) {
		return refused{err}
	}
	return err
}

// permanentCode reports whether an SMTP reply (RFC 5321, section 4.2.1) says
// that a repeat would fail too.
func permanentCode(code int) bool { return code >= 500 && code < 600 }

// Refused reports whether err says that this message will never be accepted: a
// wrong address, or the server's final refusal.
func Refused(err error) bool { return errors.As(err, new(refused)) }

// letter writes m in MIME. The sender is given as a value: go-mail's FromFormat
// pastes name and address together, and a name with a quote becomes another
// sender.
func (s *SMTP) letter(m Message) (*gomail.Msg, error) {
	letter := gomail.NewMsg()
	letter.FromMailAddress(&netmail.Address{Name: oneLine(s.FromName), Address: s.FromAddress})
	if err := letter.To(m.To); err != nil {
		return nil, refused{err}
	}
	letter.Subject(m.Subject)
	letter.SetDate()
	letter.SetMessageID()
	// Machines that answer mail by themselves do not answer this (RFC 3834).
	letter.SetGenHeader("Auto-Submitted", "auto-generated")
	letter.SetBodyString(gomail.TypeTextPlain, m.Text)
	if m.HTML != "" {
		letter.AddAlternativeString(gomail.TypeTextHTML, m.HTML)
	}
	return letter, nil
}

func (s *SMTP) client() (*gomail.Client, error) {
	opts := []gomail.Option{gomail.WithTimeout(cmp.Or(s.Timeout, 15*time.Second))}
	switch s.TLS {
	case "", StartTLS:
		opts = append(opts, gomail.WithTLSPolicy(gomail.TLSMandatory), gomail.WithPort(cmp.Or(s.Port, 587)))
	case ImplicitTLS:
		opts = append(opts, gomail.WithSSL(), gomail.WithPort(cmp.Or(s.Port, 465)))
	case Unencrypted:
		opts = append(opts, gomail.WithTLSPolicy(gomail.NoTLS), gomail.WithPort(cmp.Or(s.Port, 587)))
	default:
		return nil, fmt.Errorf("mail server: %q is not a TLS policy: want %s, %s or %s", s.TLS, StartTLS, ImplicitTLS, Unencrypted)
	}
	if s.TLSConfig != nil {
		config := s.TLSConfig.Clone()
		config.ServerName = cmp.Or(config.ServerName, s.Host)
		opts = append(opts, gomail.WithTLSConfig(config))
	}
	if s.User != "" {
		opts = append(opts, gomail.WithSMTPAuth(gomail.SMTPAuthAutoDiscover), gomail.WithUsername(s.User), gomail.WithPassword(s.Password.Reveal()))
	}
	client, err := gomail.NewClient(s.Host, opts...)
	if err != nil {
		return nil, fmt.Errorf("mail server: %w", err)
	}
	return client, nil
}

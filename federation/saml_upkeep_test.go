package federation_test

import (
	"strings"
	"testing"
	"time"

	"github.com/guildhall/guildhall/federation"
	"github.com/guildhall/guildhall/internal/testsaml"
	"github.com/guildhall/guildhall/op"
)

// tendsSAML does the scheduled work on connections that speak SAML, after a time.
func (i *samlIDP) tendsSAML(after time.Duration) {
	i.T.Helper()
	i.hall.After(after)
	var due federation.SAMLDue
	i.Must(i.Service.Snapshot(i.T.Context(), func(r *op.Reader) (err error) {
		due, err = federation.SAMLDueNow(i.T.Context(), r)
		return err
	}))
	i.Must(due.Do(i.T.Context(), i.DB, i.Service, i.reach(), i.Now()))
}

// settings are the connection's, whoever asks.
func (i *samlIDP) settings() federation.SAMLSettings {
	i.T.Helper()
	got, err := federation.GetSAML.Call(op.As(i.T.Context(), op.Caller{System: "test"}), i.Service, i.named())
	i.Must(err)
	return got
}

// reads counts how often the provider's metadata is read from now on.
func (i *samlIDP) reads() *int {
	n := 0
	i.About = func(text string) string { n++; return text }
	return &n
}

func TestMetadataIsReadEveryDay(t *testing.T) {
	withSAML(t, func(i *samlIDP) {
		first, err := i.updates(federation.UpdateSAMLInput{MetadataURL: i.URL + "/metadata"})
		i.Must(err)
		changes := func() int64 {
			return i.Number("SELECT count(*) FROM audit_rows WHERE stream = $1 AND action = 'connections.update_saml'", i.acme)
		}
		was, n := changes(), i.reads()
		i.tendsSAML(21 * time.Hour)
		if *n != 0 {
			i.T.Fatalf("it is read %d times before a day is over", *n)
		}
		i.tendsSAML(4 * time.Hour)
		if got := i.settings(); *n != 1 || !got.ReadAt.Equal(i.Now()) || got.Version != first.Version || changes() != was {
			i.T.Fatalf("a day with nothing new: read %d times, %+v", *n, got)
		}
		i.tendsSAML(time.Hour)
		if *n != 1 {
			i.T.Errorf("it is read %d times in a day", *n)
		}
		i.Rotate(i.T, testsaml.RSAKey(i.T, 2048))
		i.tendsSAML(24 * time.Hour)
		got := i.settings()
		if got.Certificates[0].Fingerprint == first.Certificates[0].Fingerprint || got.Version == first.Version || got.State != federation.On || changes() != was+1 {
			i.T.Fatalf("another certificate: %+v", got)
		}
		if by := i.Number("SELECT count(*) FROM audit_rows WHERE stream = $1 AND action = 'connections.update_saml' AND actor_kind = 'system'", i.acme); by != 1 {
			i.T.Errorf("%d changes are Guildhall's own", by)
		}
		if _, err := i.comesBack(i.Nobody()); err != nil {
			i.T.Errorf("by the new certificate: %v", err)
		}
		for what, about := range map[string]func(string) string{
			"a web page":          func(string) string { return "<html>" },
			"another provider":    func(text string) string { return strings.ReplaceAll(text, i.EntityID, "https://attacker.test") },
			"without certificate": func(text string) string { return strings.ReplaceAll(text, `use="signing"`, `use="encryption"`) },
		} {
			i.About = about
			i.tendsSAML(24 * time.Hour)
			if now := i.settings(); now.Problem == "" || now.Certificates[0] != got.Certificates[0] || !now.ReadAt.Equal(*got.ReadAt) || now.Version != got.Version {
				i.T.Errorf("%s: %+v", what, now)
			}
		}
		i.About = nil
		i.tendsSAML(24 * time.Hour)
		if now := i.settings(); now.Problem != "" || !now.ReadAt.Equal(i.Now()) {
			i.T.Errorf("read again: %+v", now)
		}
	})
}

// What is given by hand counts, and is not replaced a day later.
func TestMetadataGivenByHandEndsTheReading(t *testing.T) {
	withSAML(t, func(i *samlIDP) {
		_, err := i.updates(federation.UpdateSAMLInput{MetadataURL: i.URL + "/metadata"})
		i.Must(err)
		got, err := i.updates(federation.UpdateSAMLInput{Metadata: i.Metadata()})
		if err != nil || got.MetadataURL != "" || got.ReadAt != nil {
			i.T.Fatalf("%v, %+v", err, got)
		}
		n := i.reads()
		i.tendsSAML(72 * time.Hour)
		if *n != 0 {
			i.T.Errorf("it is read %d times", *n)
		}
	})
}

func TestPeopleAreWarnedOnceBeforeCertificatesEnd(t *testing.T) {
	withSAML(t, func(i *samlIDP) {
		i.Certificate = testsaml.Certificate(i.T, i.Key, i.Now().Add(-time.Hour), i.Now().Add(31*24*time.Hour))
		_, err := i.updates(federation.UpdateSAMLInput{Metadata: i.Metadata()})
		i.Must(err)
		_, err = federation.RemindSAML.Call(i.As(i.ada.Token), i.Service, i.named())
		i.Refused("too early", err, "not_due")
		told := len(i.Mails())
		warned := func(after time.Duration, want string) {
			i.T.Helper()
			i.tendsSAML(after)
			i.tendsSAML(time.Hour)
			mails := i.Mails()[told:]
			told += len(mails)
			switch {
			case want == "" && len(mails) > 0:
				i.T.Errorf("mailed %+v", mails)
			case want != "" && (len(mails) != 1 || mails[0].To != "ada@acme.test" || !strings.Contains(mails[0].Subject, want)):
				i.T.Errorf("want %q, mailed %+v", want, mails)
			}
		}
		warned(time.Hour, "")
		warned(24*time.Hour, "the certificate of Okta ends in 30 days")
		warned(24*time.Hour, "")
		warned(22*24*time.Hour, "ends in 7 days")
		warned(3*24*time.Hour, "")
		warned(3*24*time.Hour, "ends within a day")
		warned(5*24*time.Hour, "")
	})
}

// A connection that was made before there were keys gets one by itself, once, and the log says so.
func TestAConnectionWithoutAKeyGetsOne(t *testing.T) {
	withSAML(t, func(i *samlIDP) {
		zoe, _ := i.comes("sub-1", "zoe@acme.test")
		i.Exec("DELETE FROM saml_keys WHERE organization = $1", i.acme)
		rows := func() int64 {
			return i.Number("SELECT count(*) FROM audit_rows WHERE stream = $1 AND action = 'connections.update_saml' AND actor_kind = 'system'", i.acme)
		}
		i.tendsSAML(time.Minute)
		if n := i.Number("SELECT count(*) FROM saml_keys WHERE organization = $1", i.acme); n != 1 || rows() != 1 {
			i.T.Fatalf("%d keys, %d rows in the log", n, rows())
		}
		i.ownCertificate()
		if got, err := federation.GetProviderLogout.Call(i.As(zoe.Secret), i.Service, struct{}{}); err != nil || got.URL == "" {
			i.T.Errorf("signing out there: %v, %+v", err, got)
		}
		if got := i.settings(); got.State != federation.On {
			i.T.Errorf("it is %s", got.State)
		}
		i.tendsSAML(time.Minute)
		if rows() != 1 {
			i.T.Errorf("%d rows in the log", rows())
		}
	})
}

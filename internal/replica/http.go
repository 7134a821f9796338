package replica

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/guildhall/guildhall/internal/secret"
)

// message is what one server sends another. It is authenticated by the instance secret, and so is the answer: whoever
// else is at an address can neither send nor acknowledge. Sent again, it has a server forget what it may forget anyway.
type message struct {
	Incarnation Incarnation `json:"incarnation,omitempty"`
	Nonce       string      `json:"nonce"`
	Notice
}

const (
	fencePath  = "/fence"
	noticePath = "/notice"
	purpose    = "peer"
	maxMessage = 16 << 20
)

// HTTP reaches other servers by HTTP. It is safe for concurrent use.
type HTTP struct {
	secrets *secret.Ring
	client  *http.Client
}

// NewHTTP makes a transport that authenticates with the instance secret.
func NewHTTP(secrets *secret.Ring) *HTTP {
	return &HTTP{secrets: secrets, client: &http.Client{
		Transport:     &http.Transport{MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Minute},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Fence is the Transport's.
func (h *HTTP) Fence(ctx context.Context, address string, i Incarnation, scopes []Scope) error {
	return h.send(ctx, address, fencePath, message{Incarnation: i, Notice: Notice{Scopes: scopes}})
}

// Tell is the Transport's.
func (h *HTTP) Tell(ctx context.Context, address string, n Notice) error {
	return h.send(ctx, address, noticePath, message{Notice: n})
}

func (h *HTTP) send(ctx context.Context, address, path string, m message) error {
	if address == "" {
		return errors.New("it takes no messages")
	}
	m.Nonce = rand.Text()
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", encode(h.secrets.MAC(purpose, []byte(path), body)))
	response, err := h.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, 1<<10))
	switch {
	case err != nil:
		return err
	case response.StatusCode != http.StatusOK:
		return fmt.Errorf("it answers %d", response.StatusCode)
	case !h.verify(string(answer), "ack "+path, []byte(m.Nonce+" "+string(m.Incarnation))):
		return errors.New("its answer is not from a server with this instance's secret")
	}
	return nil
}

// Fingerprint is what an instance secret is known by. It tells nothing of it.
func Fingerprint(secrets *secret.Ring) string { return encode(secrets.Derive("peer fingerprint")[:9]) }

func encode(mac []byte) string { return base64.RawURLEncoding.EncodeToString(mac) }

func (h *HTTP) verify(sent, what string, of []byte) bool {
	mac, err := base64.RawURLEncoding.DecodeString(sent)
	return err == nil && h.secrets.Verify(mac, purpose, []byte(what), of)
}

// Handler takes messages for a server. Notices go to told, after scopes of them were forgotten.
func (h *HTTP) Handler(r *Replica, told func(Notice)) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+fencePath, h.taking(fencePath, func(m message) bool { return r.Accept(m.Incarnation, m.Scopes) }))
	mux.HandleFunc("POST "+noticePath, h.taking(noticePath, func(m message) bool { told(m.Notice); return true }))
	return mux
}

// taking takes one kind of message.
func (h *HTTP) taking(path string, take func(message) bool) http.HandlerFunc {
	return func(w http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, request.Body, maxMessage))
		if err != nil || !h.verify(request.Header.Get("Authorization"), path, body) {
			http.Error(w, "not from a server of this instance", http.StatusForbidden)
			return
		}
		var m message
		if json.Unmarshal(body, &m) != nil {
			http.Error(w, "no message", http.StatusBadRequest)
			return
		}
		if !take(m) {
			http.Error(w, "another process", http.StatusConflict)
			return
		}
		_, _ = io.WriteString(w, encode(h.secrets.MAC(purpose, []byte("ack "+path), []byte(m.Nonce+" "+string(m.Incarnation)))))
	}
}

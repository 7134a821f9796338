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
	"strings"
	"time"

	"github.com/guildhall/guildhall/internal/secret"
)

// message is what one server sends another. It is authenticated by the instance secret, and so is the answer: whoever
// else is at an address can neither send nor acknowledge. Sent again, it has a server forget what it may forget anyway.
type message struct {
	Incarnation Incarnation `json:"incarnation,omitempty"`
	Nonce       string      `json:"nonce"`
	Question    string      `json:"question,omitempty"`
	Notice
}

const (
	fencePath  = "/fence"
	noticePath = "/notice"
	askPath    = "/ask"
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
	_, err := h.send(ctx, address, fencePath, message{Incarnation: i, Notice: Notice{Scopes: scopes}})
	return err
}

// Tell is the Transport's.
func (h *HTTP) Tell(ctx context.Context, address string, n Notice) error {
	_, err := h.send(ctx, address, noticePath, message{Notice: n})
	return err
}

// Ask asks a server something, and gives its answer. What is asked and answered is not kept from whoever listens.
func (h *HTTP) Ask(ctx context.Context, address, question string) (string, error) {
	return h.send(ctx, address, askPath, message{Question: question})
}

// send sends a message, and gives what is answered beside the acknowledgement.
func (h *HTTP) send(ctx context.Context, address, path string, m message) (string, error) {
	if address == "" {
		return "", errors.New("it takes no messages")
	}
	m.Nonce = rand.Text()
	body, err := json.Marshal(m)
	if err != nil {
		return "", err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+address+path, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	request.Header.Set("Authorization", encode(h.secrets.MAC(purpose, []byte(path), body)))
	response, err := h.client.Do(request)
	if err != nil {
		return "", err
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(response.Body, 1<<10))
	if err != nil {
		return "", err
	}
	mac, answer, _ := strings.Cut(string(raw), " ")
	switch {
	case response.StatusCode != http.StatusOK:
		return "", fmt.Errorf("it answers %d", response.StatusCode)
	case !h.verify(mac, "ack "+path, m.acknowledged(answer)):
		return "", errors.New("its answer is not from a server with this instance's secret")
	}
	return answer, nil
}

// acknowledged is what an answer to a message is authenticated with.
func (m *message) acknowledged(answer string) []byte {
	return []byte(m.Nonce + " " + string(m.Incarnation) + " " + answer)
}

// Fingerprint is what an instance secret is known by. It tells nothing of it.
func Fingerprint(secrets *secret.Ring) string { return encode(secrets.Derive("peer fingerprint")[:9]) }

func encode(mac []byte) string { return base64.RawURLEncoding.EncodeToString(mac) }

func (h *HTTP) verify(sent, what string, of []byte) bool {
	mac, err := base64.RawURLEncoding.DecodeString(sent)
	return err == nil && h.secrets.Verify(mac, purpose, []byte(what), of)
}

// Handler takes messages for a server. Notices go to told, after scopes of them were forgotten, and questions to asked.
func (h *HTTP) Handler(r *Replica, told func(Notice), asked func(ctx context.Context, question string) string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+fencePath, h.taking(fencePath, func(_ context.Context, m message) (string, bool) {
		return "", r.Accept(m.Incarnation, m.Scopes)
	}))
	mux.HandleFunc("POST "+noticePath, h.taking(noticePath, func(_ context.Context, m message) (string, bool) {
		told(m.Notice)
		return "", true
	}))
	mux.HandleFunc("POST "+askPath, h.taking(askPath, func(ctx context.Context, m message) (string, bool) {
		return asked(ctx, m.Question), true
	}))
	return mux
}

// taking takes one kind of message, and sends what take answers; false: it is for another process.
func (h *HTTP) taking(path string, take func(ctx context.Context, m message) (string, bool)) http.HandlerFunc {
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
		answer, mine := take(request.Context(), m)
		if !mine {
			http.Error(w, "another process", http.StatusConflict)
			return
		}
		_, _ = io.WriteString(w, encode(h.secrets.MAC(purpose, []byte("ack "+path), m.acknowledged(answer)))+" "+answer)
	}
}

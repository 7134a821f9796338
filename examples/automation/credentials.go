package main

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/guildhall/guildhall/examples/internal/jsonapi"
)

// storedCredential is a secret of the organization that workflows use. Its value goes in and never comes out again.
type storedCredential struct {
	ID        string     `json:"id"`
	Name      string     `json:"name"`
	CreatedBy string     `json:"created_by"`
	CreatedAt *time.Time `json:"created_at"`
}

func scanCredential(row jsonapi.Row) (c storedCredential, err error) {
	var created int64
	err = row.Scan(&c.ID, &c.Name, &c.CreatedBy, &created)
	c.CreatedAt = jsonapi.Time(created)
	return c, err
}

func (p *product) listCredentials(r *http.Request) (any, error) {
	return jsonapi.Newest(r, p.db, scanCredential, "SELECT id, name, created_by, created_at FROM credentials WHERE organization = $1",
		callerOf(r.Context()).organization)
}

func (p *product) createCredential(r *http.Request) (any, error) {
	var in struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	if err := jsonapi.Read(r, &in); err != nil {
		return nil, err
	}
	name := strings.TrimSpace(in.Name)
	if err := checkName(name); err != nil {
		return nil, err
	}
	if in.Value == "" {
		return nil, jsonapi.Invalid("value is empty")
	}
	who, now := callerOf(r.Context()), p.now()
	c := storedCredential{ID: jsonapi.NewID("cred", now), Name: name, CreatedBy: who.by, CreatedAt: jsonapi.Time(now.UnixMicro())}
	sealed := p.sealed(who.organization, c.ID, in.Value)
	err := jsonapi.Changed(p.db.ExecContext(r.Context(), `INSERT INTO credentials (id, organization, name, sealed, created_by, created_at)
		VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING`, c.ID, who.organization, c.Name, sealed, c.CreatedBy, now.UnixMicro()))
	if err == jsonapi.ErrNotFound {
		return nil, jsonapi.Conflict("there is a credential named %q already", name)
	}
	if err != nil {
		return nil, err
	}
	return jsonapi.Created(c)
}

func (p *product) deleteCredential(r *http.Request) (any, error) {
	return nil, jsonapi.Changed(p.db.ExecContext(r.Context(), "DELETE FROM credentials WHERE organization = $1 AND id = $2",
		callerOf(r.Context()).organization, r.PathValue("id")))
}

// credentialValue opens a credential for an execution of the same organization.
func (p *product) credentialValue(ctx context.Context, organization, name string) ([]byte, error) {
	var id string
	value, err := jsonapi.One(func(row jsonapi.Row) (sealed []byte, err error) {
		return sealed, row.Scan(&id, &sealed)
	}, p.db.QueryRowContext(ctx, "SELECT id, sealed FROM credentials WHERE organization = $1 AND name = $2", organization, name))
	if err != nil {
		return nil, err
	}
	size := p.seal.NonceSize()
	if len(value) < size {
		return nil, errors.New("damaged")
	}
	return p.seal.Open(nil, value[:size], value[size:], boundTo(organization, id))
}

// sealed encrypts a value. It is bound to its organization and its row: put into another one, it does not open.
func (p *product) sealed(organization, id, value string) []byte {
	nonce := make([]byte, p.seal.NonceSize())
	_, _ = rand.Read(nonce) // it never fails
	return p.seal.Seal(nonce, nonce, []byte(value), boundTo(organization, id))
}

func boundTo(organization, id string) []byte { return []byte(organization + "/" + id) }

// openSeal reads the key that seals credentials, and makes one if there is none. It is never in the database.
func openSeal(path string) (cipher.AEAD, error) {
	key, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		key = make([]byte, 32)
		_, _ = rand.Read(key) // it never fails
		err = os.WriteFile(path, key, 0o600)
	}
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return cipher.NewGCM(block)
}

package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/guildhall/guildhall/examples/internal/jsonapi"
)

// step is one thing that a workflow does to the text it makes.
type step struct {
	Do         string `json:"do"`                  // one of actions
	Text       string `json:"text,omitzero"`       // of write and fail
	Credential string `json:"credential,omitzero"` // of sign: the name of one of the organization's credentials
}

// actions are what a step can do to the text so far. A credential's value is used and never shown.
var actions = map[string]func(s step, text string, value func(credential string) ([]byte, error)) (string, error){
	"write": func(s step, text string, _ func(string) ([]byte, error)) (string, error) {
		return text + s.Text + "\n", nil
	},
	"upper": func(_ step, text string, _ func(string) ([]byte, error)) (string, error) {
		return strings.ToUpper(text), nil
	},
	"fail": func(s step, text string, _ func(string) ([]byte, error)) (string, error) {
		return text, errors.New(s.Text)
	},
	"sign": sign,
}

func sign(s step, text string, value func(string) ([]byte, error)) (string, error) {
	key, err := value(s.Credential)
	if err != nil {
		return text, fmt.Errorf("credential %q: %w", s.Credential, err)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return text + "signature: " + hex.EncodeToString(mac.Sum(nil)) + "\n", nil
}

// maxSteps is how long a workflow can be.
const maxSteps = 50

func checkSteps(steps []step) error {
	if len(steps) == 0 || len(steps) > maxSteps {
		return jsonapi.Invalid("steps has 1 to %d steps", maxSteps)
	}
	for i, s := range steps {
		if actions[s.Do] == nil {
			return jsonapi.Invalid("step %d: do is write, upper, sign or fail, not %q", i+1, s.Do)
		}
		if (s.Do == "sign") != (s.Credential != "") {
			return jsonapi.Invalid("step %d: sign names a credential, and nothing else does", i+1)
		}
	}
	return nil
}

// perform does the steps one after another and gives the text, and what was done in words.
func perform(steps []step, value func(credential string) ([]byte, error)) (text, summary string, err error) {
	for i, s := range steps {
		if text, err = actions[s.Do](s, text, value); err != nil {
			return text, fmt.Sprintf("step %d of %d (%s) failed: %v", i+1, len(steps), s.Do, err), err
		}
	}
	return text, fmt.Sprintf("%d steps done, %d bytes written", len(steps), len(text)), nil
}

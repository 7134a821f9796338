package console

import (
	"encoding/base64"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/guildhall/guildhall/server/internal/console/ui"
)

// flash says, on the next page, what was done just now.
type flash struct {
	Text  string        // what is in force now, as a sentence
	Tone  ui.Tone       // OK unless set
	Event string        // the address of its event in the audit log; empty: none
	Undo  *ui.FormProps // the opposite operation; nil: there is none
}

// done is the flash of something that went well.
func done(text string) *flash { return &flash{Text: text} }

const flashLife = time.Minute

// setFlash keeps a flash for the next page of this person.
func (v *visit) setFlash(f *flash) {
	if f != nil {
		v.keep("flash", keptFlash{*f, v.actor.User}, flashLife)
	}
}

// keptFlash is a flash with whom it is for: it is shown to nobody who signs in afterwards.
type keptFlash struct {
	Flash flash
	User  string
}

// takeFlash gives the flash once.
func (v *visit) takeFlash() *ui.ToastProps {
	var kept keptFlash
	if !v.kept("flash", &kept) {
		return nil
	}
	v.drop("flash")
	if kept.User != v.actor.User {
		return nil
	}
	f := kept.Flash
	return &ui.ToastProps{Tone: f.Tone, Text: f.Text, EventHref: f.Event, Undo: f.Undo}
}

// keep seals a value into a cookie, for a time: nobody reads or makes one but this instance.
func (v *visit) keep(name string, value any, life time.Duration) {
	if v.secrets == nil {
		return
	}
	raw, err := json.Marshal(keptValue{Until: v.now.Add(life), Value: value})
	if err != nil {
		v.Log.ErrorContext(v.ctx, "cookie", "name", name, "error", err)
		return
	}
	sealed := v.secrets.Seal("console "+name, raw)
	cookie := v.cookie(name)
	cookie.Value, cookie.MaxAge = base64.RawURLEncoding.EncodeToString(sealed), int(life/time.Second)
	http.SetCookie(v.w, cookie)
}

type keptValue struct {
	Until time.Time
	Value any
}

// kept opens what keep sealed; false: there is nothing, or nothing good.
func (v *visit) kept(name string, into any) bool {
	sent := v.r.CookiesNamed(v.cookie(name).Name)
	if len(sent) != 1 || v.secrets == nil {
		return false
	}
	sealed, err := base64.RawURLEncoding.DecodeString(sent[0].Value)
	if err != nil {
		return false
	}
	raw, err := v.secrets.Open("console "+name, sealed)
	if err != nil {
		return false
	}
	value := keptValue{Value: into}
	return json.Unmarshal(raw, &value) == nil && v.now.Before(value.Until)
}

// drop makes the browser forget what keep or remember kept.
func (v *visit) drop(name string) {
	cookie := v.cookie(name)
	cookie.MaxAge = -1
	http.SetCookie(v.w, cookie)
}

// remember keeps a preference, for a year; it is the browser's to change.
func (v *visit) remember(name, value string) {
	if v.remembered(name) == value {
		return
	}
	cookie := v.cookie(name)
	cookie.Value, cookie.MaxAge = value, 365*24*60*60
	http.SetCookie(v.w, cookie)
}

// remembered is a preference; empty without one.
func (v *visit) remembered(name string) string {
	cookie, err := v.r.Cookie(v.cookie(name).Name)
	if err != nil {
		return ""
	}
	return cookie.Value
}

// cookie is an empty cookie of the console. Over https its name keeps every other host from setting it.
func (v *visit) cookie(name string) *http.Cookie {
	cookie := &http.Cookie{Name: "guildhall-" + name, Path: "/", HttpOnly: true, Secure: v.Secure, SameSite: http.SameSiteLaxMode}
	if v.Secure {
		cookie.Name = "__Host-guildhall-" + name
	}
	return cookie
}

// theme is the colour mode that the person has chosen.
func (v *visit) theme() ui.Theme {
	switch t := ui.Theme(v.remembered("theme")); t {
	case ui.Light, ui.Dark:
		return t
	}
	return ui.System
}

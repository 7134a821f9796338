package console

import (
	"net/url"
	"path"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

// sampled is an operation's example, ready to be written down in any language.
type sampled struct {
	refOperation
	base         string // of the server
	organization string
	path         string         // with the example's values
	args         []string       // the values of the path, without the organization
	rest         map[string]any // the fields that the path does not say
}

// samples are an operation's example in several languages, about the reader's own organization where there is one.
func (v *visit) samples(o refOperation) ui.CodeBoxProps {
	s := sampled{refOperation: o, base: v.BaseURL, organization: v.ownOrganization()}
	s.read()
	return ui.CodeBoxProps{ID: o.Name, Samples: []ui.Sample{{Title: "curl", Code: s.curl()}, {Title: "Go", Code: s.golang()},
		{Title: "TypeScript", Code: s.typescript()}, {Title: "CLI", Code: s.command()}}}
}

// ownOrganization is what examples call the organization.
func (v *visit) ownOrganization() string {
	if v.organization.Slug != "" {
		return v.organization.Slug
	}
	return "acme"
}

// read parts the example's fields into those of the path and the rest.
func (s *sampled) read() {
	s.rest = map[string]any{}
	if raw, err := json.Marshal(s.Example); err == nil {
		_ = json.Unmarshal(raw, &s.rest) // an example that is no object has no fields
	}
	s.path = s.Path
	for _, name := range s.PathFields() {
		value, _ := s.rest[name].(string)
		switch {
		case name == "organization":
			value = s.organization
		case value == "":
			value = s.paths[name]
		}
		if name != "organization" {
			s.args = append(s.args, value)
		}
		s.path = strings.Replace(s.path, "{"+name+"}", url.PathEscape(value), 1)
		delete(s.rest, name)
	}
	for name, value := range s.rest {
		if name == "organization" || isUnsaid(value) && !s.required(name) {
			delete(s.rest, name)
		}
	}
}

func (s *sampled) required(name string) bool {
	return slices.ContainsFunc(s.Fields, func(f refField) bool { return f.Name == name && f.Required })
}

func isUnsaid(value any) bool {
	switch v := value.(type) {
	case nil:
		return true
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return reflect.ValueOf(value).IsZero()
}

// operatorOnly reports whether only the operator at the machine may call it, by the socket in the data folder.
func (o refOperation) operatorOnly() bool { return o.Allow.String() == op.ByOperator.String() }

// address is where the request goes.
func (s *sampled) address() string {
	if s.Method != "GET" || len(s.rest) == 0 {
		return s.base + s.path
	}
	query := url.Values{}
	for name, value := range s.rest {
		query.Set(name, plainValue(value))
	}
	return s.base + s.path + "?" + query.Encode()
}

// plainValue is a value as a query or a flag says it.
func plainValue(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case []any:
		parts := make([]string, len(v))
		for i, one := range v {
			parts[i] = plainValue(one)
		}
		return strings.Join(parts, ",")
	}
	return jsonText(value, "")
}

func jsonText(value any, indent string) string {
	options := []json.Options{json.Deterministic(true)}
	if indent != "" {
		options = append(options, jsontext.WithIndent(indent))
	}
	raw, err := json.Marshal(value, options...)
	if err != nil {
		return ""
	}
	return string(raw)
}

// hasBody reports whether the request has a JSON body.
func (s *sampled) hasBody() bool { return s.Method != "GET" && (len(s.rest) > 0 || s.has("body")) }

func (s *sampled) curl() string {
	line := "curl -sS"
	if s.Method != "GET" && (s.Method != "POST" || !s.hasBody()) {
		line += " -X " + s.Method
	}
	if s.operatorOnly() {
		line += " --unix-socket data/operator.sock"
	}
	line += " " + quoted(s.address())
	if !s.Allow.Everyone() && !s.operatorOnly() {
		line += " \\\n  -H \"Authorization: Bearer $GUILDHALL_TOKEN\""
	}
	if s.hasBody() {
		line += " \\\n  -H 'Content-Type: application/json' \\\n  -d " + quoted(jsonText(s.rest, ""))
	}
	return line
}

func (s *sampled) typescript() string {
	var b strings.Builder
	b.WriteString("const answer = await fetch(" + strconv.Quote(s.address()))
	var options []string
	if s.Method != "GET" {
		options = append(options, "  method: "+strconv.Quote(s.Method)+",")
	}
	var headers []string
	if !s.Allow.Everyone() {
		headers = append(headers, "Authorization: `Bearer ${process.env.GUILDHALL_TOKEN}`")
	}
	if s.hasBody() {
		headers = append(headers, `"Content-Type": "application/json"`)
	}
	if len(headers) > 0 {
		options = append(options, "  headers: { "+strings.Join(headers, ", ")+" },")
	}
	if s.hasBody() {
		options = append(options, "  body: JSON.stringify("+strings.ReplaceAll(jsonText(s.rest, "  "), "\n", "\n  ")+"),")
	}
	if len(options) > 0 {
		b.WriteString(", {\n" + strings.Join(options, "\n") + "\n}")
	}
	b.WriteString(");\nif (!answer.ok) throw new Error((await answer.json()).detail);\n")
	if s.AnswerType == "application/json" {
		return b.String() + "const result = await answer.json();"
	}
	return b.String() + "const file = await answer.text();"
}

// command is the operation on the command line.
func (s *sampled) command() string {
	line := "guildhall " + spoken(s.Noun()) + " " + spoken(s.Verb())
	for _, value := range s.args {
		line += " " + quoted(value)
	}
	first := firstRequired(s.Info)
	if value, ok := s.rest[first]; ok {
		line += " " + quoted(plainValue(value))
	}
	for _, f := range s.Fields {
		value, ok := s.rest[f.Name]
		if !ok || f.Name == first {
			continue
		}
		line += " --" + flagOf(f.Name, value)
	}
	if slices.Contains(s.PathFields(), "organization") {
		line += " --org " + quoted(s.organization)
	}
	if s.operatorOnly() {
		line += " --data data"
	}
	switch {
	case s.Confirm == op.L3 && len(s.args) > 0:
		line += " --confirm " + quoted(s.args[0])
	case s.Confirm > op.L0:
		line += " --yes"
	}
	return line
}

// flagOf is a field as a flag: a fact is said by its name alone.
func flagOf(name string, value any) string {
	switch value {
	case true:
		return spoken(name)
	case false:
		return "no-" + spoken(name)
	}
	return spoken(name) + " " + quoted(plainValue(value))
}

// golang is the operation called from Go, in the product's process or over HTTP.
func (s *sampled) golang() string {
	in := reflect.New(s.In).Elem()
	if example := reflect.ValueOf(s.Example); example.IsValid() && example.Type() == s.In {
		in.Set(example)
	}
	if f := in.FieldByName("Organization"); f.IsValid() && f.Kind() == reflect.String {
		f.SetString(s.organization)
	}
	if s.AnswerType != "application/json" {
		return "err := hall.Stream(ctx, " + s.goName() + ", op.Request{\n\tInput: " + strings.ReplaceAll(goLiteral(in), "\n", "\n\t") +
			",\n}, func(op.Info) io.Writer { return file })"
	}
	return "out, err := " + s.goName() + ".Call(ctx, hall, " + goLiteral(in) + ")"
}

// goName is the operation's variable in Go, by the rule that all are named by: the verb and its noun, as in the name of
// the input where that is the operation's own.
func (o refOperation) goName() string {
	if name, irregular := goNames[o.Name]; irregular {
		return name
	}
	room := path.Base(o.In.PkgPath()) + "."
	stem, own := strings.CutSuffix(o.In.Name(), "Input")
	first, _, _ := strings.Cut(o.Verb(), "_")
	switch {
	case o.Name == "ownership.transfer":
		return room + "TransferOwnership"
	case own && (o.Noun() == "me" || len(stem) >= len(first) && strings.EqualFold(stem[:len(first)], first)):
		return room + stem
	case strings.Contains(o.Verb(), "_"):
		return room + camel(o.Verb())
	}
	return room + camel(o.Verb()) + strings.TrimSuffix(camel(o.Noun()), "s")
}

func camel(name string) string {
	var b strings.Builder
	for _, word := range strings.Split(name, "_") {
		b.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return b.String()
}

// goLiteral is a value as Go's source has it, without what is zero.
func goLiteral(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Pointer:
		return "new(" + goLiteral(v.Elem()) + ")"
	case reflect.String:
		return strconv.Quote(v.String())
	case reflect.Slice:
		parts := make([]string, v.Len())
		for i := range parts {
			parts[i] = goLiteral(v.Index(i))
		}
		return v.Type().String() + "{" + strings.Join(parts, ", ") + "}"
	case reflect.Struct:
		return goStruct(v)
	}
	return jsonText(v.Interface(), "")
}

func goStruct(v reflect.Value) string {
	var fields []string
	for i := range v.NumField() {
		if f := v.Type().Field(i); f.IsExported() && !v.Field(i).IsZero() {
			fields = append(fields, "\t"+f.Name+": "+strings.ReplaceAll(goLiteral(v.Field(i)), "\n", "\n\t")+",\n")
		}
	}
	if len(fields) == 0 {
		return v.Type().String() + "{}"
	}
	return v.Type().String() + "{\n" + strings.Join(fields, "") + "}"
}

// goNames are the Go variables of operations whose name is not their verb and noun.
var goNames = map[string]string{
	"artifacts.delete":          "artifacts.Delete",
	"artifacts.download":        "artifacts.Content",
	"artifacts.get":             "artifacts.Get",
	"budgets.history":           "usage.ListWarnings",
	"invoices.pdf":              "billing.PrintInvoice",
	"organizations.deletion":    "directory.GetDeletion",
	"organizations.recovery":    "directory.GetRecovery",
	"retention.acknowledged":    "artifacts.ListAcknowledged",
	"retention.deleted":         "artifacts.ListDeleted",
	"retention.due":             "artifacts.ListDue",
	"retention.preview":         "artifacts.PreviewRetention",
	"reviews.items":             "governance.ListItems",
	"seats.get":                 "billing.GetSeats",
	"signin.providers":          "federation.ListProviders",
	"signin.social_begin":       "federation.BeginSocial",
	"signin.social":             "federation.CompleteSocial",
	"identities.begin":          "federation.BeginIdentity",
	"identities.create":         "federation.CreateIdentity",
	"identities.delete":         "federation.DeleteIdentity",
	"directories.get":           "scim.GetDirectory",
	"directories.groups":        "scim.ListGroups",
	"connections.create_saml":   "federation.CreateSAML",
	"connections.get_saml":      "federation.GetSAML",
	"connections.update_saml":   "federation.UpdateSAML",
	"connections.remind_saml":   "federation.RemindSAML",
	"sessions.provider_logout":  "federation.GetProviderLogout",
	"signin.backchannel_logout": "federation.BackchannelLogout",
	"signin.saml_metadata":      "federation.GetOwnMetadata",
	"signin.saml":               "federation.CompleteSAML",
	"signin.federated":          "federation.CompleteFederated",
	"signin.federated_begin":    "federation.BeginFederated",
	"signin.connections":        "federation.ListSignInConnections",
	"signin.passkey":            "signin.PasskeySignIn",
	"signin.passkey_begin":      "signin.BeginPasskeySignIn",
	"signin.second_factor":      "signin.FinishSignIn",
	"signin.verify_passkey":     "signin.VerifyByPasskey",
	"signin.verify_totp":        "signin.VerifyByTotp",
	"subscription.cancel":       "billing.CancelSubscription",
	"subscription.change":       "billing.ChangeSubscription",
	"subscription.portal":       "billing.OpenPortal",
	"subscription.resume":       "billing.ResumeSubscription",
	"subscription.sync":         "billing.SyncSubscription",
	"totp.recovery_codes":       "signin.NewRecoveryCodes",
	"usage.events":              "usage.ListEvents",
	"usage.export":              "usage.ExportEvents",
	"usage.live":                "usage.GetLive",
	"usage.summary":             "usage.GetSummary",
	"organizations.purge":       "directory.PurgeOrganization(steps)", // made with the rooms' steps
}

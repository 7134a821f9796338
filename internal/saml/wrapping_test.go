package saml_test

import (
	"fmt"
	"testing"

	"github.com/beevik/etree"

	"github.com/guildhall/guildhall/internal/saml"
	"github.com/guildhall/guildhall/internal/testsaml"
)

// wrapped is a signed answer that an attacker rearranges: evil says somebody else, and the signed original is moved to where a
// verifier may still find it.
type wrapped struct{ response *etree.Element }

func (w wrapped) assertion() *etree.Element { return w.response.FindElement("./Assertion") }

// signatureIn is the signature directly in an element.
func signatureIn(el *etree.Element) *etree.Element { return el.FindElement("./Signature") }

// bare is a copy without the signature directly in it.
func bare(el *etree.Element) *etree.Element {
	c := el.Copy()
	if s := signatureIn(c); s != nil {
		c.RemoveChild(s)
	}
	return c
}

// turned says somebody else, under another id if there is one.
func turned(el *etree.Element, id string) *etree.Element {
	c := el.Copy()
	for _, name := range c.FindElements("//NameID") {
		name.SetText("sub-evil")
	}
	if id != "" {
		c.CreateAttr("ID", id)
	}
	return c
}

func (w wrapped) replaceAssertion(with *etree.Element) {
	old := w.assertion()
	at := old.Index()
	w.response.RemoveChild(old)
	w.response.InsertChildAt(at, with)
}

// takeOver makes the response another one, with the signed original in a place of the attack's choice.
func (w wrapped) takeOver(place func(signature, original *etree.Element)) {
	original := bare(w.response)
	w.response.CreateAttr("ID", "_evil")
	w.replaceAssertion(turned(w.assertion(), ""))
	signature := signatureIn(w.response)
	if signature == nil { // only the assertion is signed: its signature is what there is
		signature = signatureIn(w.assertion())
	}
	place(signature, original)
}

// attacks are the transformations that SAML Raider names XSW1 to XSW9, written anew.
var attacks = []func(w wrapped){
	// XSW1: the original response within the signature of the evil one.
	func(w wrapped) { w.takeOver(func(signature, original *etree.Element) { signature.AddChild(original) }) },
	// XSW2: the original response before the signature.
	func(w wrapped) {
		w.takeOver(func(signature, original *etree.Element) {
			signature.Parent().InsertChildAt(signature.Index(), original)
		})
	},
	// XSW3: an evil assertion before the original one.
	func(w wrapped) {
		w.response.InsertChildAt(w.assertion().Index(), turned(bare(w.assertion()), "_evil"))
	},
	// XSW4: the original assertion within the evil one.
	func(w wrapped) {
		original := w.assertion().Copy()
		evil := turned(bare(original), "_evil")
		evil.AddChild(original)
		w.replaceAssertion(evil)
	},
	// XSW5: the evil assertion has the signature, and the original one stands behind it.
	func(w wrapped) {
		original := bare(w.assertion())
		w.replaceAssertion(turned(w.assertion(), "_evil"))
		w.response.AddChild(original)
	},
	// XSW6: as XSW5, with the original one within the signature.
	func(w wrapped) {
		original := bare(w.assertion())
		evil := turned(w.assertion(), "_evil")
		w.replaceAssertion(evil)
		place := signatureIn(evil)
		if place == nil {
			place = signatureIn(w.response)
		}
		place.AddChild(original)
	},
	// XSW7: an evil assertion of the same id within Extensions.
	func(w wrapped) {
		extensions := etree.NewElement("samlp:Extensions")
		extensions.AddChild(turned(w.assertion(), ""))
		w.response.InsertChildAt(w.assertion().Index(), extensions)
	},
	// XSW8: the original assertion within an Object of the evil one's signature.
	func(w wrapped) {
		original := bare(w.assertion())
		evil := turned(w.assertion(), "")
		w.replaceAssertion(evil)
		place := signatureIn(evil)
		if place == nil {
			place = signatureIn(w.response)
		}
		place.CreateElement("ds:Object").AddChild(original)
	},
	// XSW9: the original assertion within the detail of the status, under the id that is signed.
	func(w wrapped) {
		original := w.assertion().Copy()
		w.replaceAssertion(turned(bare(w.assertion()), "_evil"))
		w.response.FindElement("./Status").CreateElement("samlp:StatusDetail").AddChild(original)
	},
}

// The reasons of each attack where the response, the assertion, or both are signed.
var wrappings = [][3]saml.Cause{
	{saml.Misplaced, saml.Misplaced, saml.Misplaced},
	{saml.Misplaced, saml.Misplaced, saml.Misplaced},
	{saml.ManyAssertions, saml.ManyAssertions, saml.ManyAssertions},
	{saml.Misplaced, saml.Misplaced, saml.Misplaced},
	{saml.ManyAssertions, saml.ManyAssertions, saml.ManyAssertions},
	{saml.Misplaced, saml.Misplaced, saml.Misplaced},
	{saml.Unexpected, saml.Unexpected, saml.Unexpected},
	{saml.Misplaced, saml.Misplaced, saml.Misplaced},
	{saml.Misplaced, saml.Misplaced, saml.Misplaced},
}

// T-069
func TestSignaturesAreNotWrapped(t *testing.T) {
	p := provider(t)
	for n, attack := range attacks {
		for m, mode := range []string{"response", "assertion", "both"} {
			p.After = nil
			modes[mode](p)
			if _, err := saml.Verify(p.Answers(t, asked), expectations(p)); err != nil {
				t.Fatalf("%s signed, and not attacked: %v", mode, err)
			}
			p.After = func(response *etree.Element) { attack(wrapped{response}) }
			_, err := saml.Verify(p.Answers(t, asked), expectations(p))
			if got := reasonOf(t, err); got != wrappings[n][m] {
				t.Errorf("XSW%d, %s signed: the reason is %q instead of %q: %v", n+1, mode, got, wrappings[n][m], err)
			}
		}
	}
}

// The same attacks under names that nothing forbids: what is read is what was signed, wherever the original went. T-069, T-072
func TestNothingElseIsReadThanWhatWasSigned(t *testing.T) {
	p := provider(t)
	for _, mode := range []string{"response", "assertion", "both"} {
		modes[mode](p)
		for n, change := range []func(response *etree.Element){
			func(r *etree.Element) { r.FindElement("./Assertion//NameID").SetText("sub-evil") },
			func(r *etree.Element) { r.FindElement("./Assertion").CreateAttr("IssueInstant", stamp(0)) },
			func(r *etree.Element) {
				r.FindElement("./Assertion//AttributeStatement").AddChild(r.FindElement("./Assertion//Attribute").Copy())
			},
		} {
			p.After = change
			_, err := saml.Verify(p.Answers(t, asked), expectations(p))
			if got := reasonOf(t, err); got != saml.BadSignature {
				t.Errorf("change %d, %s signed: %q", n, mode, got)
			}
		}
		p.After = nil
	}
	// Where only the assertion is signed, what stands around it can refuse, and gives nothing.
	modes["assertion"](p)
	p.After = func(r *etree.Element) { r.FindElement("./Issuer").SetText("https://attacker.test") }
	if _, err := saml.Verify(p.Answers(t, asked), expectations(p)); reasonOf(t, err) != saml.OtherIssuer {
		t.Errorf("an unsigned issuer: %v", err)
	}
	p.After = func(r *etree.Element) { r.FindElement("./Assertion/Signature/KeyInfo").Child = nil }
	if a, err := saml.Verify(p.Answers(t, asked), expectations(p)); err != nil || a.Name != "sub-1" {
		t.Errorf("a key that says nothing is not asked: %v", err)
	}
}

// fuzzed is a provider that is the same in every process, so that an answer of one is believed in all.
func fuzzed(t testing.TB) (*testsaml.Provider, saml.Expectations) {
	p := provider(t)
	p.EntityID = "https://idp.acme.test"
	p.Rotate(t, testsaml.FixedKey())
	return p, expectations(p)
}

// What is believed, however bytes are changed, is what the provider said; and another reader finds the same. T-072
func FuzzVerify(f *testing.F) {
	p, e := fuzzed(f)
	for _, mode := range []string{"response", "assertion", "both"} {
		modes[mode](p)
		whole := p.Document(f, asked)
		f.Add([]byte(whole), 0, []byte{})
		for _, add := range []string{"<!---->", "<?x?>", "<![CDATA[x]]>", "<x/>", "&amp;", "\r\n", `xmlns="urn:x"`, "</saml:Assertion>"} {
			for _, at := range []int{1, len(whole) / 3, len(whole) / 2, len(whole) - 40} {
				f.Add([]byte(whole), at, []byte(add))
			}
		}
	}
	f.Fuzz(func(t *testing.T, document []byte, at int, add []byte) {
		if at >= 0 && at <= len(document) {
			document = append(append(append([]byte{}, document[:at]...), add...), document[at:]...)
		}
		a, err := saml.Verify(posted(string(document)), e)
		if err != nil {
			reasonOf(t, err)
			return
		}
		if a.Name != "sub-1" || a.Email() != "zoe@acme.test" || fmt.Sprint(a.Attributes["groups"]) != "[staff writers]" {
			t.Fatalf("somebody else is believed: %+v", a)
		}
		other, err := otherReader(p, string(document))
		if err != nil {
			t.Skip() // the other one may be stricter
		}
		same(t, a, other)
	})
}

func FuzzMetadata(f *testing.F) {
	p := provider(f)
	f.Add([]byte(p.Metadata()))
	f.Add([]byte(`<EntityDescriptor xmlns="urn:oasis:names:tc:SAML:2.0:metadata" entityID="x"/>`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		found, err := saml.ParseMetadata(raw)
		if err == nil && (!saml.Secure(found.SignOnURL) || len(found.Certificates) == 0 || found.EntityID == "") {
			t.Fatalf("%+v", found)
		}
	})
}

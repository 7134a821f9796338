package console

import (
	"net/http"
	"strings"

	"github.com/guildhall/guildhall/credential"
	"github.com/guildhall/guildhall/server/internal/console/ui"
)

func keySecretPages() []page {
	const one = "/o/{slug}/settings/api-keys/{key}"
	return []page{
		{"GET " + one + "/secret", member, showNoSecret},
		{"GET " + one + "/first-use", member, showFirstUse},
	}
}

// secretPage shows a key's secret. It is the answer to the form that made the key, and is kept nowhere: asked for again,
// the same form gets the key without its secret.
type secretPage struct {
	visit *visit
	key   credential.NewKey
	old   *credential.Key // the key that it takes the place of; nil: none
	ways  ui.Ways
}

func (v *visit) showSecret(p secretPage) error {
	title := ui.T("Store the key %s", p.key.Name)
	if !p.key.SecretShown {
		title = ui.T("The key %s", p.key.Name)
	}
	return v.pageAs(http.StatusOK, ui.PageProps{Title: title, Crumb: v.keysCrumb(), Ways: p.ways}, p.shown())
}

// samples are how to try the key, and how to hand it to programs.
func (p secretPage) samples() []ui.Sample {
	return secretSamples(p.visit.BaseURL, p.key.Secret)
}

// secretSamples try a secret, and hand it to programs.
func secretSamples(base, secret string) []ui.Sample {
	return []ui.Sample{
		{Title: "curl", Code: "curl -sS " + base + "/v1/me \\\n  -H \"Authorization: Bearer " + secret + "\""},
		{Title: ui.T("Shell"), Code: "export GUILDHALL_KEY=" + secret},
		{Title: ui.T("Command line"), Code: "export GUILDHALL_TOKEN=" + secret + "\nguildhall me get --server " + base},
		{Title: "GitHub Actions", Code: strings.Join([]string{
			"# once: gh secret set GUILDHALL_KEY    (paste the key)",
			"env:",
			"  GUILDHALL_KEY: ${{ secrets.GUILDHALL_KEY }}",
		}, "\n")},
	}
}

// showNoSecret says that a secret is shown once.
func showNoSecret(v *visit) error {
	k, err := v.key()
	if err != nil {
		return err
	}
	return v.page(ui.PageProps{Title: ui.T("The key %s", k.Name), Crumb: v.keysCrumb(), Ways: v.same(credential.GetKey, "key", k.ID)},
		secretPage{visit: v, key: credential.NewKey{Key: k}}.shown())
}

// showFirstUse says whether a key was used: as a page, or to a page that asks again and again, only once there is
// something to say.
func showFirstUse(v *visit) error {
	k, err := v.key()
	if err != nil {
		return err
	}
	if !ui.Fragment(v.r) {
		return v.page(ui.PageProps{Title: ui.T("First use of %s", k.Name), Crumb: v.keysCrumb(), Ways: v.same(credential.GetKey, "key", k.ID)}, v.firstUse(k))
	}
	if k.LastUsedAt.IsZero() {
		ui.Secure(v.w)
		v.w.WriteHeader(http.StatusNoContent)
		return nil
	}
	return v.render(http.StatusOK, v.light(k))
}

// key is the key of the address, with a use that is not written down yet.
func (v *visit) key() (credential.Key, error) {
	k, err := credential.GetKey.Call(v.ctx, v.Service, v.oneKey())
	return v.withUse(k), err
}

// oneKey names the key of the address.
func (v *visit) oneKey() credential.KeyInput {
	return credential.KeyInput{InOrganization: v.inOrg(), Key: v.r.PathValue("key")}
}

// withUse adds to a key that the viewer sees in full a use of just now.
func (v *visit) withUse(k credential.Key) credential.Key {
	if v.LastUse == nil || k.Display == "" {
		return k
	}
	if use, ok := v.LastUse(v.organization.ID, k.ID); ok && use.At.After(k.LastUsedAt) {
		k.LastUsedAt, k.LastAddress, k.LastAgent = use.At, use.Address, use.Agent
	}
	return k
}

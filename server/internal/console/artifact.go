package console

import (
	"time"

	"github.com/guildhall/guildhall/artifacts"
	"github.com/guildhall/guildhall/op"
	"github.com/guildhall/guildhall/server/internal/console/ui"
	"github.com/guildhall/guildhall/server/internal/web"
)

func artifactPages() []page {
	const one = "/o/{slug}/settings/artifacts/{artifact}"
	return []page{
		{"GET " + one, member, showArtifact},
		{"POST " + one, member, renameArtifact},
		{"GET " + one + "/content", member, downloadArtifact},
		{"GET " + one + "/link", member, askArtifactLink},
		{"POST " + one + "/link", member, linkArtifact},
		{"GET " + one + "/delete", member, askArtifactEnd},
		{"POST " + one + "/delete", member, deleteArtifact},
	}
}

// oneArtifact names the file of the address.
func (v *visit) oneArtifact() artifacts.ArtifactInput {
	return artifacts.ArtifactInput{InOrganization: v.inOrg(), Artifact: v.r.PathValue("artifact")}
}

// artifact is the file of the address.
func (v *visit) artifact() (artifacts.Artifact, error) {
	return artifacts.Get.Call(v.ctx, v.Service, v.oneArtifact())
}

// artifactPage is all that is known of a file.
type artifactPage struct {
	visit *visit
	file  artifacts.Artifact
	names map[string]string
}

func showArtifact(v *visit) error {
	a, err := v.artifact()
	if err != nil {
		return err
	}
	p := artifactPage{visit: v, file: a}
	if p.names, err = v.storers(a); err != nil {
		return err
	}
	return v.page(ui.PageProps{Title: a.Name, Crumb: v.artifactsCrumb(), Actions: p.verbs(), Ways: v.same(artifacts.Get, "artifact", a.ID)}, p.show())
}

// facts are what is known of the file; what is not is left out.
func (p artifactPage) facts() []ui.Fact {
	a := p.file
	facts := []ui.Fact{{Name: ui.T("Size"), Value: ui.Text(artifacts.Size(a.Size))}, {Name: ui.T("Type"), Value: ui.Code(a.MediaType)},
		{Name: ui.T("Stored"), Value: ui.Join(p.visit.at(a.CreatedAt), ui.Muted(ui.T("by")), p.visit.storedBy(a, p.names))}, {Name: ui.T("Deletion"), Value: p.visit.goneAt(a)}}
	for _, f := range []struct{ name, value string }{{ui.T("Belongs to"), a.Resource}, {ui.T("Region"), a.Region}, {"SHA-256", a.SHA256}, {ui.T("File id"), a.ID}} {
		if f.value != "" {
			facts = append(facts, ui.Fact{Name: f.name, Value: ui.Code(f.value)})
		}
	}
	return facts
}

// verbs are what can be done with the file.
func (p artifactPage) verbs() component {
	one := p.visit.artifactsHref("/" + p.file.ID)
	all := []component{ui.Button(ui.ButtonProps{Text: ui.T("Download"), Icon: "download", Kind: ui.Primary, Href: one + "/content"}),
		ui.Button(ui.ButtonProps{Text: ui.T("Make a link"), Href: one + "/link"})}
	if p.visit.can("settings.update") && !p.file.Held {
		all = append(all, ui.Button(ui.ButtonProps{Text: ui.T("Put under a legal hold"), Href: asking(p.visit.artifactsHref("/holds"), "artifacts", p.file.ID)}))
	}
	if p.visit.can("artifacts.manage") && !p.file.Held {
		all = append(all, ui.Button(ui.ButtonProps{Text: ui.T("Delete"), Kind: ui.Danger, Href: one + "/delete"}))
	}
	return ui.Join(all...)
}

func (p artifactPage) name() ui.InputProps {
	return ui.InputProps{FieldProps: ui.FieldProps{Name: "name", Label: ui.T("Name"), Hint: ui.T("What it is saved as. The bytes of a file never change."), Error: p.visit.form.error("name")},
		Value: p.visit.form.or("name", p.file.Name), MaxLength: "255"}
}

func renameArtifact(v *visit) error {
	a, err := artifacts.Update.Call(v.ctx, v.Service, artifacts.UpdateInput{ArtifactInput: v.oneArtifact(), Name: new(v.form.value("name"))}, v.form.options()...)
	if v.again(err) {
		return showArtifact(v)
	}
	if err != nil {
		return err
	}
	return v.redirect(v.artifactsHref("/"+a.ID), done(ui.T("The file is called %s.", a.Name)))
}

// downloadArtifact answers with the bytes, as something to save.
func downloadArtifact(v *visit) error {
	answer, err := v.Service.Invoke(v.ctx, artifacts.Content, op.Request{Caller: v.caller, Input: v.oneArtifact()})
	if err != nil {
		return err
	}
	file, ok := answer.File()
	if !ok {
		return op.ErrNotFound
	}
	v.w.Header().Set("Cache-Control", "no-store")
	return web.ServeFile(v.w, v.r, file)
}

// linkLives are how long a link can open.
func linkLives() []ui.Option {
	return []ui.Option{{Value: "1h", Text: ui.T("for an hour")}, {Value: "24h", Text: ui.T("for a day")}, {Value: "168h", Text: ui.T("for a week")}}
}

func askArtifactLink(v *visit) error {
	a, err := v.artifact()
	if err != nil {
		return err
	}
	return v.ask(confirmation{id: "link-file", title: ui.T("Make a link to %s", a.Name), cancel: v.artifactsHref("/" + a.ID),
		text: []string{ui.T("Whoever has the link can download this one file, without a sign-in. It ends with its time, with the file, and with your right to see it.")},
		fields: ui.Choices(ui.ChoicesProps{FieldProps: ui.FieldProps{Name: "expires_at", Label: ui.T("It opens"), Error: v.form.error("expires_at")},
			Value: v.form.or("expires_at", "24h"), Options: linkLives()}),
		submit: ui.ButtonProps{Text: ui.T("Make a link"), Kind: ui.Primary}, ways: v.same(artifacts.Link, "artifact", a.ID)})
}

// fileLinkPage shows a link, which is shown once: it is the answer to the form, and kept nowhere.
type fileLinkPage struct {
	visit *visit
	link  artifacts.NewLink
}

func linkArtifact(v *visit) error {
	in := artifacts.LinkInput{ArtifactInput: v.oneArtifact()}
	if life, err := time.ParseDuration(v.form.value("expires_at")); err == nil {
		in.ExpiresAt = v.now.Add(life)
	}
	link, err := artifacts.Link.Call(v.ctx, v.Service, in, v.form.options()...)
	if v.again(err) {
		return askArtifactLink(v)
	}
	if err != nil {
		return err
	}
	a, err := v.artifact()
	if err != nil {
		return err
	}
	return v.page(ui.PageProps{Title: ui.T("Link to %s", a.Name), Crumb: v.artifactsCrumb(), Ways: v.same(artifacts.Link, "artifact", a.ID)}, fileLinkPage{v, link}.shown())
}

func askArtifactEnd(v *visit) error {
	a, err := v.artifact()
	if err != nil {
		return err
	}
	c := confirmation{id: "delete-file", title: ui.T("Delete %s", a.Name), version: a.ETag(), cancel: v.artifactsHref(""),
		text:     []string{ui.T("Nobody can download it from then on, and links to it end. Its bytes are erased within minutes. This is final.")},
		affected: []ui.Fact{{Name: a.Name, Value: ui.Text(artifacts.Size(a.Size))}},
		submit:   ui.ButtonProps{Text: ui.T("Delete %s", a.Name), Kind: ui.Danger}, ways: v.same(artifacts.Delete, "artifact", a.ID)}
	if a.Held {
		c.impossible = ui.T("A legal hold keeps this file: release it first.")
	}
	return v.ask(c)
}

func deleteArtifact(v *visit) error {
	_, err := artifacts.Delete.Call(v.ctx, v.Service, v.oneArtifact(), v.form.options()...)
	if v.again(err) {
		return askArtifactEnd(v)
	}
	if err != nil {
		return err
	}
	return v.redirect(v.artifactsHref(""), done(ui.T("The file is deleted.")))
}

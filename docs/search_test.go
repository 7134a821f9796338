package docs_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/guildhall/guildhall/docs"
)

func TestASearchFindsTheSection(t *testing.T) {
	for query, want := range map[string]string{
		"rotating overlap":    "keys#rotating",
		"IDEMPOTENCY-KEY":     "api#sending-a-request-again",
		"dry run members":     "api#dry-run",
		"invitation_accepted": "errors#invitation_accepted",
	} {
		hits := docs.Search(query)
		found := slices.ContainsFunc(hits, func(h docs.Hit) bool { return h.Page.Name+"#"+h.Anchor == want })
		if !found {
			t.Errorf("%q does not find %s: %d hits", query, want, len(hits))
		}
		for _, h := range hits {
			if h.Anchor != "" && !slices.Contains(anchors(t, h.Page.Name+".md"), h.Anchor) {
				t.Errorf("%q leads to %s#%s, which is not there", query, h.Page.Name, h.Anchor)
			}
		}
	}
	for _, query := range []string{"", "  ", "xyzzy", "keys xyzzy"} {
		if hits := docs.Search(query); len(hits) != 0 {
			t.Errorf("%q finds %d sections", query, len(hits))
		}
	}
	if hits := docs.Search("rotating"); len(hits) == 0 || hits[0].Anchor != "rotating" || strings.Contains(hits[0].Excerpt, "\n") {
		t.Errorf("the section of that name is not the first: %+v", hits)
	}
}

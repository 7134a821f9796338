package charter

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// Show writes the permission matrix: permissions in rows, roles in columns, lowest rank first,
// "-" where a permission does not exist in this charter.
func (c *Charter) Show(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprint(tw, "PERMISSION\t")
	for _, r := range c.roles {
		fmt.Fprintf(tw, "%s\t", r.Title)
	}
	fmt.Fprintln(tw, "WHAT")
	for _, id := range c.rows() {
		c.showRow(tw, id)
	}
	return tw.Flush()
}

// rows returns the permissions to show: Guildhall's own, absent ones in their places, then the product's.
func (c *Charter) rows() []Permission {
	var ids []Permission
	for _, info := range own {
		ids = append(ids, info.ID)
	}
	for _, info := range c.permissions {
		if !info.Own {
			ids = append(ids, info.ID)
		}
	}
	return ids
}

func (c *Charter) showRow(w io.Writer, id Permission) {
	info, exists := c.Info(id)
	fmt.Fprintf(w, "%s\t", id)
	for _, r := range c.roles {
		switch {
		case !exists:
			fmt.Fprint(w, "-\t")
		case c.Can(r, id):
			fmt.Fprint(w, "yes\t")
		default:
			fmt.Fprint(w, "no\t")
		}
	}
	if !exists {
		info.Title = "(not in this charter)"
	}
	fmt.Fprintln(w, info.Title)
}

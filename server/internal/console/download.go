package console

import (
	"fmt"
	"io"
	"net/http"

	"github.com/guildhall/guildhall/op"
)

// download answers with a stream as a file. What is refused before it begins is an error as of any operation.
func (v *visit) download(o op.Any, input any) error {
	begun := false
	err := v.Service.Stream(v.ctx, o, op.Request{Caller: v.caller, Input: input}, func(i op.Info) io.Writer {
		begun = true
		h := v.w.Header()
		h.Set("Content-Type", i.MediaType)
		h.Set("Content-Disposition", fmt.Sprintf("attachment; filename=%q", i.FileName))
		h.Set("Cache-Control", "no-store")
		return v.w
	})
	if begun && err != nil {
		v.logFailure("download", err)
		panic(http.ErrAbortHandler) // nobody takes half a file for a whole one
	}
	return err
}

package guildhall

import (
	"context"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"

	"github.com/guildhall/guildhall/directory"
	"github.com/guildhall/guildhall/internal/jobs"
	"github.com/guildhall/guildhall/internal/mail"
)

// Mail is a message to one person, and MailSender delivers such: what Config.Mail is. SMTP is one.
type (
	Mail       = mail.Message
	MailSender = mail.Sender
	SMTP       = mail.SMTP
)

var errNoMail = errors.New("no mail server is configured")

// sendMail does one job of the outbox.
func (h *Hall) sendMail(ctx context.Context, job jobs.Job) error {
	if h.config.Mail == nil {
		return errNoMail
	}
	var m mail.Message
	if err := json.Unmarshal(job.Payload, &m); err != nil {
		return fmt.Errorf("mail: %w", err)
	}
	if err := h.config.Mail.Send(ctx, m); err != nil {
		if mail.Refused(err) {
			return jobs.Permanent(err)
		}
		return err
	}
	return nil
}

// afterJob shows on an invitation how its mail fared.
func (h *Hall) afterJob(ctx context.Context, job jobs.Job, err error) {
	if job.Kind != "mail" {
		return
	}
	if failed := directory.MarkDelivery(ctx, h.db, job.ID, err); failed != nil {
		h.config.Log.ErrorContext(ctx, "delivery state", "job", job.ID, "error", failed)
	}
}
